//! The secret that turns raw ids into keys.

mod text;

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use super::format::{Label, Message};
use crate::AffinityKey;

pub use text::InvalidAffinitySecret;

/// A secret that turns raw ids into keys that are stable and reveal nothing.
///
/// An e-mail address, a user id or a chat title does not belong in a header: gateways log it, and a
/// provider may keep headers outside its promise to keep no data. A plain hash does not hide it, since
/// anyone who can guess the id can hash the guess. Without the secret of an HMAC, a guessed id cannot be
/// confirmed.
///
/// [`key_for`](Self::key_for) derives a key from any bytes.
/// [`derive_per_host`](crate::SessionAffinityLayer::derive_per_host) and
/// [`derive_for`](crate::SessionAffinityLayer::derive_for) derive every value that a layer sends.
///
/// Make the secret at random, and use it for nothing else. Its bytes are not kept. What is kept is the
/// state of the HMAC after the secret, which is as good as the secret; it is wiped when the last clone
/// is dropped. `Debug` shows nothing of it. A clone is one more reference.
///
/// Rotating the secret changes every key: each conversation misses the cache once, and while some
/// processes have the old secret and some the new one, the same conversation goes to two replicas.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::AffinitySecret;
///
/// # let env = "gMZ3xCQ/8ouePRm0yV4bxFrIuGn5DU2gKZG5EgVI6tA=\n";
/// // AFFINITY_SECRET="$(openssl rand -base64 32)"
/// let secret = AffinitySecret::from_base64(env)?;
///
/// let key = secret.key_for(["alice@example.com", "Über Geld 💶"]);
/// assert_eq!(key.as_str(), "742692e0-e50b-80e8-a171-7e49eef84fb2");
/// assert_eq!(format!("{secret:?}"), "AffinitySecret(..)");
/// # Ok::<_, tower_session_affinity::InvalidAffinitySecret>(())
/// ```
///
/// # Format
///
/// Version 1, the same in every language. A key is made of the secret, a label of ten ASCII bytes, and
/// parts, which are bytes (text is UTF-8, not normalised):
///
/// 1. The message is the label, then each part behind its length in bytes, as an unsigned 64-bit
///    big-endian number. Nothing is between the parts or behind them, nor is their number written: two
///    lists of parts never make the same message.
/// 2. The first 16 bytes of HMAC-SHA-256 (RFC 2104, FIPS 180-4) of the message under the secret are a
///    `UUIDv8` (RFC 9562, section 5.8): the upper four bits of byte 6 become `1000`, the upper two of
///    byte 8 become `10`, and 122 bits of the HMAC remain.
/// 3. The key is the 36 bytes of its text: lower-case hexadecimal, hyphens before bytes 4, 6, 8 and 10.
///
/// | | label | parts |
/// |---|---|---|
/// | [`key_for`](Self::key_for) | `tsa-key-v1` | the caller's |
/// | [`derive_for`](crate::SessionAffinityLayer::derive_for) | `tsa-dst-v1` | the destination's label; the raw value |
/// | [`derive_per_host`](crate::SessionAffinityLayer::derive_per_host) | `tsa-dst-v1` | the host; the raw value |
///
/// - The raw value is the header value that would be sent without derivation, less the spaces and tabs
///   at both ends, which are no part of a header's value.
/// - The host is that of the URI, without user and port: a name or an IPv4 address as it is written,
///   ASCII letters in lower case, less one trailing dot; an IPv6 address in its longest form, eight
///   groups of four lower-case hexadecimal digits between colons, without brackets and without a
///   dotted part (`2001:0db8:0000:0000:0000:0000:0000:0007`); any other literal with its brackets, in
///   lower case.
///
/// With the secret of 32 bytes `00 01 02 … 1f`, the parts `ab` and `c` give
///
/// ```text
/// message  74 73 61 2d 6b 65 79 2d 76 31                     tsa-key-v1
///          00 00 00 00 00 00 00 02 61 62                     2, ab
///          00 00 00 00 00 00 00 01 63                        1, c
/// HMAC     90 98 9e a1 ce a7 42 f9 40 0d e1 ed 1f cf 66 0d …
/// key      90989ea1-cea7-82f9-800d-e1ed1fcf660d
/// ```
///
/// # Fan-out
///
/// A conversation that starts fifty sub-agents at once can keep them on one warm replica or share them
/// among several. The parts of their keys decide:
///
/// | a child's parts | when | on the busiest of 8 replicas, simulated | replicas that read the shared prompt, simulated | on the busiest of 4, measured | prompt tokens computed, measured |
/// |---|---|---|---|---|---|
/// | `[tenant, chat]`, its parent's | few children, or one at a time, whose prompts begin as the parent's | 100 % | 1 | 100 % | 6,711 |
/// | `[tenant, chat, number % 4]` | many at once, whose prompts share a long beginning | 42 % | 3.3 | 49 % | 19,283 |
/// | `[tenant, chat, number % 16]` | the same, and one replica is soon full | 27 % | 7.0 | 37 % | 25,560 |
/// | `[tenant, chat, number]`, its own | prompts that share little | 20 % | 8.0 | 33 % | 25,550 |
///
/// Simulated are 50 children, rendezvous hashing and the mean of 400 conversations (`tests/fan_out.rs`); an
/// even share is 12.5 %. Measured are three conversations of 50 children at once, whose prompts share 500
/// tokens, on four llama.cpp servers behind nginx (`gateways/tests/fan_out.rs`). A balancer that bounds the
/// requests of a replica shares the parent's key, too. At 1.5 times the mean HAProxy came to 38 % and 19,312
/// tokens, and Envoy, whose bound a burst on new connections outruns, to 87 % and 8,811
/// (`gateways/README.md`, "A hot key").
///
/// Elsewhere, children with the parent's key found 4,992 of about 6,319 tokens cached instead of none
/// (opencode, pull request 50495), and 43 of 47 requests went to one binding (`CLIProxyAPI`, issue 4674).
///
/// ```
/// # use tower_session_affinity::AffinitySecret;
/// # let secret = AffinitySecret::new(&[7; 32])?;
/// let key_of_child = |number: usize| {
///     let shard = (number % 4).to_string();
///     secret.key_for(["tenant-7", "chat-7", &shard])
/// };
/// assert_eq!(key_of_child(1), key_of_child(5));
/// assert_ne!(key_of_child(1), key_of_child(2));
/// # Ok::<_, tower_session_affinity::InvalidAffinitySecret>(())
/// ```
#[derive(Clone)]
pub struct AffinitySecret(Arc<Hmac<Sha256>>);

impl AffinitySecret {
    /// The fewest bytes that a secret can have: as many as HMAC-SHA-256 gives.
    pub const MIN_LEN: usize = 32;

    /// Takes the bytes of a secret; wiping the caller's copy is up to the caller.
    ///
    /// # Errors
    ///
    /// If there are fewer than [`MIN_LEN`](Self::MIN_LEN).
    #[expect(clippy::missing_panics_doc, reason = "HMAC takes a key of any length")]
    pub fn new(secret: &[u8]) -> Result<Self, InvalidAffinitySecret> {
        if secret.len() < Self::MIN_LEN {
            return Err(InvalidAffinitySecret::too_short(secret.len()));
        }
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        Ok(Self(Arc::new(mac)))
    }

    /// Derives the key of any number of parts, each of any bytes.
    ///
    /// Where one part ends counts: `["ab", "c"]` and `["a", "bc"]` have different keys. The key is a
    /// lower-case UUID, which every documented limit of a peer lets through.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_session_affinity::AffinitySecret;
    /// # let secret = AffinitySecret::new(&[7; 32])?;
    /// let (tenant, chat) = ("tenant-7", 4711_u64);
    /// let key = secret.key_for([tenant.as_bytes(), &chat.to_be_bytes()]);
    /// assert_eq!(key.as_str().len(), 36);
    /// # Ok::<_, tower_session_affinity::InvalidAffinitySecret>(())
    /// ```
    #[must_use]
    pub fn key_for<I>(&self, parts: I) -> AffinityKey
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut message = self.message(Label::Key);
        for part in parts {
            message.part(part.as_ref());
        }
        AffinityKey::from_uuid(message.finish())
    }

    /// Begins a message under this secret.
    #[inline]
    pub(crate) fn message(&self, label: Label) -> Message {
        Message::begin(&self.0, label)
    }
}

impl fmt::Debug for AffinitySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AffinitySecret").finish_non_exhaustive()
    }
}

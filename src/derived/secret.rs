//! The secret that turns raw ids into keys.

mod text;

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

use super::format::{Label, Message};
use crate::AffinityKey;

pub use text::InvalidAffinitySecret;

/// A secret that turns raw ids into stable keys that reveal nothing.
///
/// [`key_for`](Self::key_for) derives a key from any bytes.
/// [`derive_per_host`](crate::SessionAffinityLayer::derive_per_host) and
/// [`derive_for`](crate::SessionAffinityLayer::derive_for) derive every value that a layer sends.
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
/// # Why not the id, or its hash
///
/// An e-mail address, a user id or a chat title does not belong in a header: gateways log headers, and a
/// provider's promise to keep no data may not cover them. A plain hash does not hide an id, because anyone
/// who guesses the id can hash the guess. Without the secret of an HMAC, a guessed id cannot be confirmed.
/// More: [derived keys](crate::guide::privacy#derived-keys).
///
/// # Handling
///
/// Make the secret at random, use the same one in every process, and use it for nothing else. Its bytes are
/// not kept. The state of the HMAC after the secret is kept, which is as sensitive as the secret; it is wiped
/// when the last clone is dropped. `Debug` shows nothing of it. A clone is a reference to the same state.
///
/// Rotating the secret changes every key: each conversation misses the cache once. While some processes have
/// the old secret and some the new one, a conversation goes to two replicas.
///
/// The feature `hmac` adds the crates `hmac`, `sha2`, `zeroize` and `data-encoding`.
///
/// # Format
///
/// The format is version 1, and the same in every language. A key is made from the secret, a label of ten
/// ASCII bytes, and parts, which are bytes (text is UTF-8, not normalized):
///
/// 1. The message is the label, followed by each part. In front of each part is its length in bytes, as an
///    unsigned 64-bit big-endian number. Nothing else is written, so two lists of parts never make the same
///    message.
/// 2. The first 16 bytes of the HMAC-SHA-256 (RFC 2104, FIPS 180-4) of the message under the secret become a
///    `UUIDv8` (RFC 9562, section 5.8): the upper four bits of byte 6 are set to `1000`, and the upper two of
///    byte 8 to `10`. 122 bits of the HMAC remain.
/// 3. The key is the UUID's text of 36 bytes: lower-case hexadecimal, with hyphens before bytes 4, 6, 8 and 10.
///
/// | | label | parts |
/// |---|---|---|
/// | [`key_for`](Self::key_for) | `tsa-key-v1` | the caller's |
/// | [`derive_for`](crate::SessionAffinityLayer::derive_for) | `tsa-dst-v1` | the destination's label; the raw value |
/// | [`derive_per_host`](crate::SessionAffinityLayer::derive_per_host) | `tsa-dst-v1` | the host; the raw value |
///
/// - The raw value is the header value that would be sent without derivation, without the spaces and tabs at
///   both ends, which are not part of a header's value.
/// - The host is that of the URI, without user and port:
///   - a name or an IPv4 address as it is written, with ASCII letters in lower case and without one trailing
///     dot;
///   - an IPv6 address in its longest form, which is eight groups of four lower-case hexadecimal digits with
///     colons between them, without brackets and without a dotted part
///     (`2001:0db8:0000:0000:0000:0000:0000:0007`);
///   - any other literal with its brackets, in lower case.
///
/// With the 32-byte secret `00 01 02 … 1f`, the parts `ab` and `c` give
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
/// A conversation may start fifty sub-agents at once. The parts of their keys decide whether they stay on one
/// warm replica or are spread over several:
///
/// - `[tenant, chat]`, the parent's own parts: for few children, or one at a time, whose prompts begin like
///   the parent's;
/// - `[tenant, chat, number % 4]`: for many children at once whose prompts share a long beginning;
/// - `[tenant, chat, number % 16]`: the same, if one replica is soon full;
/// - `[tenant, chat, number]`, a key for each child: for prompts that share little.
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
///
/// A simulation of 50 children on 8 replicas with rendezvous hashing, as the mean of 400 conversations
/// (`tests/fan_out.rs`); an even share is 12.5 %:
///
/// | last part | children on the busiest replica | replicas that read the shared prompt |
/// |---|---|---|
/// | none | 100 % | 1 |
/// | `number % 4` | 42 % | 3.3 |
/// | `number % 16` | 27 % | 7.0 |
/// | `number` | 20 % | 8.0 |
///
/// A load balancer that bounds the requests of a replica also spreads the parent's key. For measurements on a
/// real engine, with and without a bound, see [a hot key](crate::guide::gateways#a-hot-key).
#[derive(Clone)]
pub struct AffinitySecret(Arc<Hmac<Sha256>>);

impl AffinitySecret {
    /// The fewest bytes that a secret can have, which is the output length of HMAC-SHA-256.
    pub const MIN_LEN: usize = 32;

    /// Makes a secret from bytes; wiping the caller's copy is up to the caller.
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

    /// Derives a key from any number of parts, each of any bytes.
    ///
    /// The boundaries of the parts count: `["ab", "c"]` and `["a", "bc"]` have different keys. The key is a
    /// lower-case UUID (36 bytes), which fits every documented limit.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_session_affinity::AffinitySecret;
    /// # let secret = AffinitySecret::new(&[7; 32])?;
    /// let (tenant, chat) = ("tenant-7", 4711_u64);
    /// let key = secret.key_for([tenant.as_bytes(), &chat.to_be_bytes()]);
    /// assert_eq!(key.as_str().len(), 36);
    /// assert_ne!(secret.key_for(["ab", "c"]), secret.key_for(["a", "bc"]));
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

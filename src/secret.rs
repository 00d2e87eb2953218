//! The secret that turns raw ids into keys.

use std::fmt;
use std::sync::Arc;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, Encoding};
use data_encoding::{DecodePartial, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::AffinityKey;
use crate::message::{Label, Message};

/// A secret that turns raw ids into keys that are stable and reveal nothing.
///
/// An e-mail address, a user id or a chat title does not belong in a header: gateways log it, and a
/// provider may keep headers outside its promise to keep no data. A plain hash does not hide it, since
/// whoever can guess the id can hash the guess. An HMAC hides it from whoever lacks the secret.
///
/// [`key_for`](Self::key_for) derives a key from any bytes.
/// [`derive_per_host`](crate::SessionAffinityLayer::derive_per_host) and
/// [`derive_for`](crate::SessionAffinityLayer::derive_for) derive every value that leaves a layer.
///
/// Make the secret at random, and use it for nothing else. Its bytes are not kept. What is kept is the
/// state of the HMAC after the secret, which is as good as the secret; it is wiped when the last clone
/// is dropped. `Debug` shows nothing of it. A clone is one more reference.
///
/// Another secret gives every session another key. On the day of a change each conversation finds a
/// cold cache once, and processes with the old and the new secret send the same conversation to two
/// replicas.
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
/// - The raw value is the header value that would leave without derivation, less the spaces and tabs
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
/// | a child's parts | when | on the busiest of 8 replicas | replicas that read the shared prompt |
/// |---|---|---|---|
/// | `[tenant, chat]`, its parent's | few children, or one at a time, whose prompts begin as the parent's | 100 % | 1 |
/// | `[tenant, chat, number % 4]` | many at once, whose prompts share a long beginning | 42 % | 3.3 |
/// | `[tenant, chat, number % 16]` | the same, and one replica is soon full | 27 % | 7.0 |
/// | `[tenant, chat, number]`, its own | prompts that share little | 20 % | 8.0 |
///
/// With the parent's key, children found 4,992 of about 6,319 tokens cached instead of none (opencode,
/// pull request 50495), and 43 of 47 requests went to one binding (`CLIProxyAPI`, issue 4674). The
/// last two columns are the means of a simulation: 50 children, rendezvous hashing, 400 conversations
/// (`tests/fan_out.rs`); an even share is 12.5 %.
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

/// The error of what is no [`AffinitySecret`]: what is wrong and where, never the value.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::AffinitySecret;
///
/// let error = AffinitySecret::new(b"correct horse").unwrap_err();
/// assert_eq!(error.to_string(), "affinity secret has 13 bytes, at least 32");
///
/// let error = AffinitySecret::from_hex("c0ffee: no").unwrap_err();
/// assert_eq!(error.to_string(), "affinity secret has invalid hexadecimal at index 6");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAffinitySecret(Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    TooShort { len: usize },
    CutOff { len: usize },
    Hexadecimal { index: usize },
    Base64 { index: usize },
    NotBase64,
}

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
            return Err(InvalidAffinitySecret(Reason::TooShort {
                len: secret.len(),
            }));
        }
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        Ok(Self(Arc::new(mac)))
    }

    /// Takes a secret in hexadecimal, in either case, as `openssl rand -hex 32` makes it.
    ///
    /// ASCII white space does not count, be it at the ends or between digits.
    ///
    /// # Errors
    ///
    /// If the text is no hexadecimal, or that of fewer than [`MIN_LEN`](Self::MIN_LEN) bytes.
    pub fn from_hex(text: &str) -> Result<Self, InvalidAffinitySecret> {
        Self::decode(&HEXLOWER_PERMISSIVE, &symbols(text), |nth| {
            Reason::Hexadecimal {
                index: index_of(text, nth),
            }
        })
    }

    /// Takes a secret in base64, as `openssl rand -base64 32` makes it.
    ///
    /// The alphabet is the standard one or the URL-safe one, with padding or without. ASCII white space
    /// does not count, since `openssl` breaks what it writes into lines of 64 characters.
    ///
    /// # Errors
    ///
    /// If the text is no base64, or that of fewer than [`MIN_LEN`](Self::MIN_LEN) bytes. Also if it is
    /// hexadecimal digits alone: base64 of random bytes does not look like that, and a secret that one
    /// process reads as hexadecimal and another as base64 would give two keys to each session.
    pub fn from_base64(text: &str) -> Result<Self, InvalidAffinitySecret> {
        let symbols = symbols(text);
        if !symbols.is_empty() && symbols.iter().all(u8::is_ascii_hexdigit) {
            return Err(InvalidAffinitySecret(Reason::NotBase64));
        }
        let invalid_at = |nth| Reason::Base64 {
            index: index_of(text, nth),
        };
        // Of what comes behind a padding, some languages make more bytes and others none.
        if let Some(nth) = symbols
            .windows(2)
            .position(|two| two[0] == b'=' && two[1] != b'=')
        {
            return Err(InvalidAffinitySecret(invalid_at(nth)));
        }
        let is_url_safe = symbols.iter().any(|symbol| b"-_".contains(symbol));
        let encoding = match (is_url_safe, symbols.ends_with(b"=")) {
            (false, true) => &BASE64,
            (false, false) => &BASE64_NOPAD,
            (true, true) => &BASE64URL,
            (true, false) => &BASE64URL_NOPAD,
        };
        Self::decode(encoding, &symbols, invalid_at)
    }

    fn decode(
        encoding: &Encoding,
        symbols: &[u8],
        invalid_at: impl FnOnce(usize) -> Reason,
    ) -> Result<Self, InvalidAffinitySecret> {
        let len = symbols.len();
        let len = encoding
            .decode_len(len)
            .map_err(|_| InvalidAffinitySecret(Reason::CutOff { len }))?;
        let mut secret = Zeroizing::new(vec![0; len]);
        let len = encoding.decode_mut(symbols, &mut secret).map_err(
            |DecodePartial { error, .. }| InvalidAffinitySecret(invalid_at(error.position)),
        )?;
        Self::new(&secret[..len])
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

/// Returns what is not white space, in a buffer that is wiped as the secret itself.
fn symbols(text: &str) -> Zeroizing<Vec<u8>> {
    // With room for all, since a buffer that grows leaves a copy behind.
    let mut symbols = Zeroizing::new(Vec::with_capacity(text.len()));
    symbols.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    symbols
}

/// Returns where the text has the symbol of this number.
fn index_of(text: &str, nth: usize) -> usize {
    let bytes = text.bytes().enumerate();
    let mut symbols = bytes.filter(|(_, byte)| !byte.is_ascii_whitespace());
    symbols.nth(nth).map_or(text.len(), |(index, _)| index)
}

impl fmt::Debug for AffinitySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AffinitySecret").finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidAffinitySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("affinity secret ")?;
        match self.0 {
            Reason::TooShort { len } => {
                write!(f, "has {len} bytes, at least {}", AffinitySecret::MIN_LEN)
            }
            Reason::CutOff { len } => {
                write!(f, "has {len} characters, which end in the middle of a byte")
            }
            Reason::Hexadecimal { index } => write!(f, "has invalid hexadecimal at index {index}"),
            Reason::Base64 { index } => write!(f, "has invalid base64 at index {index}"),
            Reason::NotBase64 => f.write_str("is hexadecimal, expected base64"),
        }
    }
}

impl std::error::Error for InvalidAffinitySecret {}

//! Reads a secret from text, and says what is wrong with it.

use std::fmt;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, Encoding};
use data_encoding::{DecodePartial, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use super::AffinitySecret;

/// The error returned for bytes or text that are not a valid [`AffinitySecret`].
///
/// It says what is wrong and where, and does not show the value.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::AffinitySecret;
///
/// let error = AffinitySecret::new(b"correct horse").unwrap_err();
/// assert_eq!(error.to_string(), "affinity secret has 13 bytes, expected at least 32");
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
    /// Reads a secret in hexadecimal, in either case, as `openssl rand -hex 32` prints it.
    ///
    /// ASCII white space is ignored, at the ends and between digits.
    ///
    /// # Errors
    ///
    /// If the text is not hexadecimal, or has fewer than [`MIN_LEN`](Self::MIN_LEN) bytes.
    pub fn from_hex(text: &str) -> Result<Self, InvalidAffinitySecret> {
        Self::decode(&HEXLOWER_PERMISSIVE, &symbols(text), |nth| {
            Reason::Hexadecimal {
                index: index_of(text, nth),
            }
        })
    }

    /// Reads a secret in base64, as `openssl rand -base64 32` prints it.
    ///
    /// The alphabet is the standard or the URL-safe one, with or without padding. ASCII white space is ignored,
    /// because `openssl` breaks its output into lines of 64 characters.
    ///
    /// # Errors
    ///
    /// If the text is not base64, goes on after its padding, or has fewer than [`MIN_LEN`](Self::MIN_LEN)
    /// bytes. Also if it consists of hexadecimal digits only. Base64 of random bytes does not look like that,
    /// and if one process read the secret as hexadecimal and a different one as base64, each session would have
    /// two keys.
    pub fn from_base64(text: &str) -> Result<Self, InvalidAffinitySecret> {
        let symbols = symbols(text);
        if !symbols.is_empty() && symbols.iter().all(u8::is_ascii_hexdigit) {
            return Err(InvalidAffinitySecret(Reason::NotBase64));
        }
        let invalid_at = |nth| Reason::Base64 {
            index: index_of(text, nth),
        };
        // Some languages decode what follows the padding, and others ignore it.
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
        // An invalid symbol says more than an incomplete end, so the complete groups are decoded first.
        let whole = encoding
            .decode_len(len)
            .map_or_else(|error| error.position, |_| len);
        let decoded = encoding.decode_len(whole);
        let mut secret = Zeroizing::new(vec![0; decoded.expect("only complete groups")]);
        let decoded = encoding
            .decode_mut(&symbols[..whole], &mut secret)
            .map_err(|DecodePartial { error, .. }| {
                InvalidAffinitySecret(invalid_at(error.position))
            })?;
        if whole < len {
            return Err(InvalidAffinitySecret(Reason::CutOff { len }));
        }
        Self::new(&secret[..decoded])
    }
}

impl InvalidAffinitySecret {
    pub(super) const fn too_short(len: usize) -> Self {
        Self(Reason::TooShort { len })
    }
}

/// Returns what is not white space, in a buffer that is wiped like the secret itself.
fn symbols(text: &str) -> Zeroizing<Vec<u8>> {
    // With room for all of it, because a buffer that grows leaves a copy behind.
    let mut symbols = Zeroizing::new(Vec::with_capacity(text.len()));
    symbols.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    symbols
}

/// Returns the index in the text of the `nth` symbol that is not white space.
fn index_of(text: &str, nth: usize) -> usize {
    let bytes = text.bytes().enumerate();
    let mut symbols = bytes.filter(|(_, byte)| !byte.is_ascii_whitespace());
    symbols.nth(nth).map_or(text.len(), |(index, _)| index)
}

impl fmt::Display for InvalidAffinitySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("affinity secret ")?;
        match self.0 {
            Reason::TooShort { len } => {
                let least = AffinitySecret::MIN_LEN;
                write!(f, "has {len} bytes, expected at least {least}")
            }
            Reason::CutOff { len } => {
                write!(
                    f,
                    "has {len} characters, which do not make a whole number of bytes"
                )
            }
            Reason::Hexadecimal { index } => write!(f, "has invalid hexadecimal at index {index}"),
            Reason::Base64 { index } => write!(f, "has invalid base64 at index {index}"),
            Reason::NotBase64 => f.write_str("is hexadecimal, expected base64"),
        }
    }
}

impl std::error::Error for InvalidAffinitySecret {}

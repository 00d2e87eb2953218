//! The token that a gateway issues.

use std::fmt;

use http::HeaderValue;

/// A token that names a replica: opaque, issued by a gateway, and valid as a header value.
///
/// A token has 1 to 4,096 bytes ([`Token::MAX_LEN`]) that a header value can have, and not only spaces
/// and tabs. It holds a copy of its bytes and nothing else: a header value of hyper is a slice of a
/// read buffer of 8 KiB, all of which a clone would keep.
///
/// Whoever has a token can pick a replica, so it is a sensitive header value (HTTP/2 does not put it
/// into its compression table), and `Debug` does not show it.
///
/// # Examples
///
/// ```
/// use http::HeaderValue;
/// use tower_affinity_token::Token;
///
/// let token = Token::try_from(&b"MTI3LjAuMC4xOjI5MDAx"[..])?;
/// assert_eq!(token.as_bytes(), b"MTI3LjAuMC4xOjI5MDAx");
/// assert_eq!(format!("{token:?}"), "Token(..)");
/// assert!(HeaderValue::from(token).is_sensitive());
/// # Ok::<_, tower_affinity_token::InvalidToken>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Token(HeaderValue);

/// The error of bytes that are no [`Token`]: what is wrong and where, never the value.
///
/// # Examples
///
/// ```
/// use tower_affinity_token::Token;
///
/// let error = Token::try_from(&b"replica\n1"[..]).unwrap_err();
/// assert_eq!(error.to_string(), "token has invalid byte 0x0a at index 7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidToken(Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Blank,
    TooLong { len: usize },
    InvalidByte { byte: u8, index: usize },
}

impl Token {
    /// The most bytes that a token can have.
    pub const MAX_LEN: usize = 4096;

    /// Returns the bytes as they go into a header.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The grammar of a header value, without the blank ones.
fn check(bytes: &[u8]) -> Result<(), Reason> {
    if is_blank(bytes) {
        return Err(Reason::Blank);
    }
    if bytes.len() > Token::MAX_LEN {
        return Err(Reason::TooLong { len: bytes.len() });
    }
    let is_invalid = |byte: u8| byte.is_ascii_control() && byte != b'\t';
    match bytes.iter().position(|byte| is_invalid(*byte)) {
        Some(index) => Err(Reason::InvalidByte {
            byte: bytes[index],
            index,
        }),
        None => Ok(()),
    }
}

/// Whether there is nothing but spaces and tabs, which gateways take for an absent header.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' ' | b'\t'))
}

impl TryFrom<&[u8]> for Token {
    type Error = InvalidToken;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        check(bytes).map_err(InvalidToken)?;
        let mut value = HeaderValue::from_bytes(bytes).expect("the bytes were checked");
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl From<Token> for HeaderValue {
    fn from(token: Token) -> Self {
        token.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Token").finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::Blank => f.write_str("token is blank"),
            Reason::TooLong { len } => {
                write!(f, "token has {len} bytes, at most {}", Token::MAX_LEN)
            }
            Reason::InvalidByte { byte, index } => {
                write!(f, "token has invalid byte {byte:#04x} at index {index}")
            }
        }
    }
}

impl std::error::Error for InvalidToken {}

//! The token that a gateway issues.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use tower_session_affinity::rules::is_blank;

/// A token that names a replica: opaque, issued by a gateway, and valid as a header value.
///
/// A token has 1 to 4,096 bytes ([`Token::MAX_LEN`]) that a header value can have, and not only spaces
/// and tabs. It holds a copy of its bytes and nothing else: a header value of hyper is a slice of a
/// read buffer of 8 KiB, all of which a clone would keep.
///
/// A token picks a replica for anyone who has it, so it is a sensitive header value (HTTP/2 does not put
/// it into its compression table), and `Debug` does not show it.
///
/// Two tokens are equal if their bytes are, whatever their lifetimes.
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
#[derive(Clone)]
pub struct Token {
    value: HeaderValue,
    lifetime: Option<Duration>,
}

/// The error returned for bytes that are not a [`Token`]: what is wrong and where, never the value.
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
        self.value.as_bytes()
    }

    /// Returns for how long the gateway says that the token is valid from now on, if it says so.
    ///
    /// A store must not return the token later than that.
    #[must_use]
    pub const fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// Sets for how long the token is valid from now on; `None` for as long as it is used.
    #[must_use]
    pub const fn with_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Takes over a value that was a token's.
    #[cfg(feature = "memory")]
    pub(crate) const fn from_checked(value: HeaderValue) -> Self {
        Self {
            value,
            lifetime: None,
        }
    }
}

impl TryFrom<&[u8]> for Token {
    type Error = InvalidToken;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        if bytes.len() > Self::MAX_LEN {
            return Err(InvalidToken(Reason::TooLong { len: bytes.len() }));
        }
        let value = HeaderValue::from_bytes(bytes);
        let mut value = value.map_err(|_| InvalidToken(Reason::of_invalid_byte(bytes)))?;
        if is_blank(&value) {
            return Err(InvalidToken(Reason::Blank));
        }
        value.set_sensitive(true);
        Ok(Self {
            value,
            lifetime: None,
        })
    }
}

impl Reason {
    /// Looks for the byte for which a header value was refused.
    fn of_invalid_byte(bytes: &[u8]) -> Self {
        let is_invalid = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        let index = bytes.iter().position(is_invalid).unwrap_or_default();
        let byte = bytes[index];
        Self::InvalidByte { byte, index }
    }
}

impl From<Token> for HeaderValue {
    fn from(token: Token) -> Self {
        token.value
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Token {}

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

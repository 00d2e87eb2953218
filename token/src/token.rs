//! The token that a gateway issues, and what is valid as one.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use tower_session_affinity::rules::is_blank;

/// An opaque token that a gateway issues and that names a replica.
///
/// A token is a valid header value of 1 to 4,096 bytes ([`Token::MAX_LEN`]) that is not only spaces and tabs.
/// It holds a copy of its bytes: a clone of hyper's header value would keep a whole read buffer of 8 KiB alive.
///
/// Anyone who has a token can pick its replica. So it is sent as a sensitive header value, which HTTP/2 does not
/// put into its compression table, and `Debug` does not show it.
///
/// Two tokens are equal if their bytes are equal, whatever their lifetimes.
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

/// The error returned for bytes that are not a valid [`Token`]. It says what is wrong and where, and never shows
/// the value.
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
    /// The most bytes that a token can have: 4,096.
    pub const MAX_LEN: usize = 4096;

    /// Returns the bytes that are sent in the header.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.value.as_bytes()
    }

    /// Returns how long the token is valid from now on, if the gateway says so.
    ///
    /// A store must not return the token after that time.
    #[must_use]
    pub const fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// Sets how long the token is valid from now on; `None` means for as long as it is used.
    #[must_use]
    pub const fn with_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Wraps a value that came from a token.
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
    /// Finds the byte because of which the header value was refused.
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

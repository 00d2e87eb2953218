//! The error of an invalid row.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use http::header::InvalidHeaderName;

use crate::InvalidHostPattern;

/// The error returned for a [`Destination`](crate::Destination) that is not valid.
///
/// It says which part is wrong, and why.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::Destination;
///
/// let error = Destination::none("").unwrap_err();
/// assert_eq!(error.to_string(), "destination has an invalid host: host pattern has no host");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDestination(Reason);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Host(InvalidHostPattern),
    HeaderName,
    Field,
    PathSuffix,
    MaxLen,
}

impl InvalidDestination {
    pub(super) const fn field() -> Self {
        Self(Reason::Field)
    }

    pub(super) const fn path_suffix() -> Self {
        Self(Reason::PathSuffix)
    }

    pub(super) const fn max_len() -> Self {
        Self(Reason::MaxLen)
    }
}

impl From<InvalidHostPattern> for InvalidDestination {
    fn from(error: InvalidHostPattern) -> Self {
        Self(Reason::Host(error))
    }
}

impl From<InvalidHeaderName> for InvalidDestination {
    fn from(_: InvalidHeaderName) -> Self {
        Self(Reason::HeaderName)
    }
}

/// For a host or a name that already has its type.
impl From<Infallible> for InvalidDestination {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for InvalidDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("destination has ")?;
        match &self.0 {
            Reason::Host(error) => write!(f, "an invalid host: {error}"),
            Reason::HeaderName => f.write_str("an invalid header name"),
            Reason::Field => f.write_str(
                "an invalid body field, expected 1 to 64 visible ASCII characters other than `\"` and `\\`",
            ),
            Reason::PathSuffix => {
                f.write_str("invalid path suffixes, expected at least one, each like `/responses`")
            }
            Reason::MaxLen => f.write_str("a maximum length of 0 bytes, expected at least 1"),
        }
    }
}

// The text of an invalid host is part of this error's text, so it is not its source as well.
impl Error for InvalidDestination {}

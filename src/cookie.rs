//! A source of keys that reads a cookie.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;
use http::header::COOKIE;

use crate::{AffinityKey, KeyExtractor, RequestHead};

/// Takes the key from a cookie of the request.
///
/// Use it to send a web application's session with its calls to an LLM. A cookie that logs its owner in is a
/// credential and must not be a key, because gateways log keys: derive the key from it with
/// `FromCookie::derived` (feature `hmac`).
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, FromCookie, KeyExtractor};
///
/// let chat = FromCookie::new("chat")?;
/// let request = http::Request::get("/").header("cookie", "theme=dark; chat=c-7").body(())?;
/// assert_eq!(chat.extract((&request).into()), Some(AffinityKey::from_static("c-7")));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// Every `Cookie` header is read, because HTTP/2 may send one per cookie. The case of the name counts. One
/// pair of quotes around the value is removed, and nothing is decoded. If several cookies have the name, the
/// first valid [`AffinityKey`] is taken. The `Cookie` header stays in the request, so a gateway that forwards
/// requests must remove it.
#[derive(Clone, Debug)]
pub struct FromCookie(Arc<str>);

/// The error returned for a text that cannot be the name of a cookie.
///
/// It says what is wrong and where, and does not show the text.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::FromCookie;
///
/// let error = FromCookie::new("sid=").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "cookie name has invalid byte 0x3d at index 3, expected visible ASCII other than `;` and `=`",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCookieName(Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Empty,
    InvalidByte { byte: u8, index: usize },
}

impl FromCookie {
    /// Makes a source that reads the cookie of this name, whose case counts.
    ///
    /// # Errors
    ///
    /// If the name is empty, or contains `;`, `=` or a byte that is not visible ASCII.
    pub fn new(name: &str) -> Result<Self, InvalidCookieName> {
        check(name.as_bytes()).map_err(InvalidCookieName)?;
        Ok(Self(name.into()))
    }

    /// Returns the values of this cookie that are not blank, in order.
    pub(crate) fn values<'a>(
        &'a self,
        head: RequestHead<'a>,
    ) -> impl Iterator<Item = HeaderValue> + 'a {
        let headers = head.headers().get_all(COOKIE).iter();
        headers.flat_map(|header| {
            let pairs = header.as_bytes().split(|byte| *byte == b';');
            pairs.filter_map(|pair| {
                let value = value_of(pair, self.0.as_bytes())?;
                let mut value = HeaderValue::from_bytes(value).ok()?;
                value.set_sensitive(header.is_sensitive());
                Some(value)
            })
        })
    }
}

impl KeyExtractor for FromCookie {
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        self.values(head).find_map(|value| value.try_into().ok())
    }

    /// A value that is not blank was meant to be a key.
    fn has_invalid_key(&self, head: RequestHead<'_>) -> bool {
        self.values(head)
            .any(|value| AffinityKey::try_from(value).is_err())
    }
}

fn check(name: &[u8]) -> Result<(), Reason> {
    if name.is_empty() {
        return Err(Reason::Empty);
    }
    let other = |byte: &u8| !byte.is_ascii_graphic() || matches!(byte, b';' | b'=');
    match name.iter().position(other) {
        Some(index) => Err(Reason::InvalidByte {
            byte: name[index],
            index,
        }),
        None => Ok(()),
    }
}

/// Returns the value of `name=value` without the white space and quotes around it, unless it is blank.
fn value_of<'a>(pair: &'a [u8], expected: &[u8]) -> Option<&'a [u8]> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (&pair[..equals], pair[equals + 1..].trim_ascii());
    let unquoted = value.strip_prefix(b"\"");
    let unquoted = unquoted.and_then(|value| value.strip_suffix(b"\""));
    let value = unquoted.unwrap_or(value).trim_ascii();
    (name.trim_ascii() == expected && !value.is_empty()).then_some(value)
}

impl fmt::Display for InvalidCookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::Empty => f.write_str("cookie name is empty"),
            Reason::InvalidByte { byte, index } => {
                write!(
                    f,
                    "cookie name has invalid byte {byte:#04x} at index {index}, expected visible ASCII \
                     other than `;` and `=`"
                )
            }
        }
    }
}

impl std::error::Error for InvalidCookieName {}

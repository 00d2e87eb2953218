//! A request without its body, as key extractors see it.

use std::fmt;

use http::header::AsHeaderName;
use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri, request::Parts};

use crate::AffinityKey;
use crate::merge::{SCANNED_NAMES, values_at};

/// A borrowed view of a request without its body.
///
/// It has no body type. So a closure over it needs no type annotation, and one layer serves requests of any
/// body type.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::RequestHead;
///
/// let request = http::Request::get("http://api.example/chat").body(())?;
/// let head = RequestHead::from(&request);
/// assert_eq!(head.uri().path(), "/chat");
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    pub(crate) const fn new(
        method: &'a Method,
        uri: &'a Uri,
        headers: &'a HeaderMap,
        extensions: &'a Extensions,
    ) -> Self {
        Self {
            method,
            uri,
            headers,
            extensions,
        }
    }

    /// Returns the method.
    #[must_use]
    pub const fn method(self) -> &'a Method {
        self.method
    }

    /// Returns the URI, whose authority is the host that the request goes to.
    #[must_use]
    pub const fn uri(self) -> &'a Uri {
        self.uri
    }

    /// Returns the headers.
    ///
    /// A source of keys sees them before the layer changes them, and a hook sees them as they are sent.
    #[must_use]
    pub const fn headers(self) -> &'a HeaderMap {
        self.headers
    }

    /// Returns the first value of this header that is a valid key.
    ///
    /// The key shares the header's bytes, so nothing is copied or allocated. Copy a key that outlives its
    /// request with [`AffinityKey::into_owned`].
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{AffinityKey, RequestHead};
    ///
    /// let request = http::Request::get("/").header("x-user-id", "u-42").body(())?;
    /// let key = RequestHead::from(&request).key("x-user-id");
    /// assert_eq!(key, Some(AffinityKey::from_static("u-42")));
    /// # Ok::<_, http::Error>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn key(self, name: impl AsHeaderName) -> Option<AffinityKey> {
        let mut values = self.headers.get_all(name).iter();
        values.find_map(AffinityKey::sharing)
    }

    /// [`key`](Self::key) for a parsed name: a small map is scanned, without a hash.
    #[inline]
    pub(crate) fn key_of(self, name: &HeaderName) -> Option<AffinityKey> {
        let headers = self.headers;
        if headers.keys_len() > SCANNED_NAMES {
            return self.key(name);
        }
        let index = headers.keys().position(|key| key == name)?;
        first_key_at(headers, index)
    }

    /// Returns the extensions.
    #[must_use]
    pub const fn extensions(self) -> &'a Extensions {
        self.extensions
    }
}

impl<'a, B> From<&'a Request<B>> for RequestHead<'a> {
    #[inline]
    fn from(request: &'a Request<B>) -> Self {
        Self::new(
            request.method(),
            request.uri(),
            request.headers(),
            request.extensions(),
        )
    }
}

impl<'a> From<&'a Parts> for RequestHead<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self::new(&parts.method, &parts.uri, &parts.headers, &parts.extensions)
    }
}

/// Shows only the method, because a URI and headers can hold credentials and keys.
impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// A function of its own, so that the scan before it is short enough to be inlined.
#[inline(never)]
fn first_key_at(headers: &HeaderMap, index: usize) -> Option<AffinityKey> {
    if headers.len() == headers.keys_len() {
        return AffinityKey::sharing(headers.values().nth(index)?);
    }
    values_at(headers, index).find_map(AffinityKey::sharing)
}

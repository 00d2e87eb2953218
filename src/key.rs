//! The key that names a session: a validated header value.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

/// An opaque session identifier that is a valid header value for every peer.
///
/// A key must not be a secret, because gateways log it. Use neither a credential nor a request id, which
/// changes on every turn.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::AffinityKey;
///
/// const WARM_UP: AffinityKey = AffinityKey::from_static("warm-up");
/// let key: AffinityKey = "chat-7".parse()?;
///
/// assert_eq!(key.as_str(), "chat-7");
/// assert_eq!(format!("{key:?}"), "AffinityKey(..)");
/// assert_ne!(key, WARM_UP);
/// # Ok::<_, tower_session_affinity::InvalidAffinityKey>(())
/// ```
///
/// Cloning never allocates. `Debug` hides the key, and there is no `Display`.
///
/// # Grammar
///
/// A key has 1 to 255 bytes ([`AffinityKey::MAX_LEN`]), each a visible ASCII character (`0x21` to
/// `0x7E`) other than the comma. RFC 9110 allows more, but some peers alter or reject other bytes or longer values:
///
/// - peers trim white space;
/// - Node sends a non-ASCII character as Latin-1 and workerd as UTF-8, so one id becomes two keys;
/// - HAProxy, and proxies that join repeated headers, read a comma as a list separator;
/// - Bifrost, the strictest general gateway, takes 255 bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AffinityKey(HeaderValue);

/// The error returned for bytes that are not a valid [`AffinityKey`].
///
/// It says what is wrong and where, and does not show the value.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::AffinityKey;
///
/// let error = AffinityKey::try_from("user, abc").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "affinity key has invalid byte 0x2c at index 4, expected visible ASCII other than a comma",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAffinityKey(Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Empty,
    TooLong { len: usize },
    InvalidByte { byte: u8, index: usize },
}

impl AffinityKey {
    /// The maximum length of a key, in bytes.
    pub const MAX_LEN: usize = 255;

    /// Makes a key from a literal. In a `const`, an invalid literal is a compile error.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::AffinityKey;
    ///
    /// const KEY: AffinityKey = AffinityKey::from_static("nightly-report");
    /// assert_eq!(KEY.as_str(), "nightly-report");
    /// ```
    ///
    /// # Panics
    ///
    /// If `key` does not match the [grammar](AffinityKey#grammar).
    #[must_use]
    #[track_caller]
    pub const fn from_static(key: &'static str) -> Self {
        match check(key.as_bytes()) {
            Ok(()) => Self(HeaderValue::from_static(key)),
            Err(Reason::Empty) => panic!("affinity key is empty, expected 1 to 255 bytes"),
            Err(Reason::TooLong { .. }) => {
                panic!("affinity key has too many bytes, expected at most 255")
            }
            Err(Reason::InvalidByte { .. }) => {
                panic!(
                    "affinity key has an invalid byte, expected visible ASCII other than a comma"
                )
            }
        }
    }

    /// Returns the key as ASCII text.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "visible ASCII was checked when the key was made"
    )]
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a key is visible ASCII")
    }

    /// Returns the key as a header value.
    #[must_use]
    pub const fn as_header_value(&self) -> &HeaderValue {
        &self.0
    }

    /// Takes a checked value, and makes sure that its clones do not allocate.
    fn from_checked(value: HeaderValue) -> Self {
        // A value made from a fresh buffer allocates its reference count at its first clone. That clone
        // is made here, while the key is made, and not while a request waits.
        drop(value.clone());
        Self(value)
    }

    /// Makes a key that shares the bytes of a header value, if they are valid.
    // A clone has its reference count already, so further clones do not allocate.
    #[inline]
    pub(crate) fn sharing(value: &HeaderValue) -> Option<Self> {
        is_valid(value.as_bytes()).then(|| Self(value.clone()))
    }

    /// Copies the key's bytes, for a key that outlives its request.
    ///
    /// A key that [`RequestHead::key`](crate::RequestHead::key), [`FromHeaders`](crate::FromHeaders) or
    /// `TryFrom<HeaderValue>` makes from an inbound header shares the header's bytes. Over HTTP/1 these are a
    /// slice of hyper's read buffer, and a clone keeps all 8 KiB of it alive. `TryFrom<&HeaderValue>`,
    /// `TryFrom<&str>` and `FromStr` copy already. The sensitive flag is kept.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use tower_session_affinity::{AffinityKey, RequestHead};
    ///
    /// let request = http::Request::get("/").header("x-user-id", "u-42").body(())?;
    /// let mut turns: HashMap<AffinityKey, u64> = HashMap::new();
    /// if let Some(key) = RequestHead::from(&request).key("x-user-id") {
    ///     *turns.entry(key.into_owned()).or_default() += 1;
    /// }
    /// assert_eq!(turns[&AffinityKey::from_static("u-42")], 1);
    /// # Ok::<_, http::Error>(())
    /// ```
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a key is a valid header value")]
    pub fn into_owned(self) -> Self {
        let mut value =
            HeaderValue::from_bytes(self.0.as_bytes()).expect("a key is a valid header value");
        value.set_sensitive(self.0.is_sensitive());
        Self::from_checked(value)
    }

    /// Takes the text of a UUID, whose clones do not allocate.
    #[cfg(feature = "hmac")]
    pub(crate) const fn from_uuid(value: HeaderValue) -> Self {
        Self(value)
    }

    fn copy_from_slice(bytes: &[u8]) -> Result<Self, InvalidAffinityKey> {
        examine(bytes)?;
        let value = HeaderValue::from_bytes(bytes).expect("a key is a valid header value");
        Ok(Self::from_checked(value))
    }
}

/// Whether these bytes are a key.
// Without an early exit, so that the compiler checks 16 bytes at a time.
#[inline]
fn is_valid(bytes: &[u8]) -> bool {
    let is_valid_byte = |byte: u8| byte.wrapping_sub(b'!') <= b'~' - b'!' && byte != b',';
    let are_valid = bytes
        .iter()
        .fold(true, |valid, &byte| valid & is_valid_byte(byte));
    are_valid && !bytes.is_empty() && bytes.len() <= AffinityKey::MAX_LEN
}

/// Checks the bytes, and looks for the reason only if they are invalid.
#[inline]
fn examine(bytes: &[u8]) -> Result<(), InvalidAffinityKey> {
    if is_valid(bytes) {
        return Ok(());
    }
    check(bytes).map_err(InvalidAffinityKey)
}

/// Returns how these bytes break the grammar of a key, if they do.
const fn check(bytes: &[u8]) -> Result<(), Reason> {
    if bytes.is_empty() {
        return Err(Reason::Empty);
    }
    if bytes.len() > AffinityKey::MAX_LEN {
        return Err(Reason::TooLong { len: bytes.len() });
    }
    let mut index = 0;
    while index < bytes.len() {
        let byte = bytes[index];
        if !byte.is_ascii_graphic() || byte == b',' {
            return Err(Reason::InvalidByte { byte, index });
        }
        index += 1;
    }
    Ok(())
}

impl FromStr for AffinityKey {
    type Err = InvalidAffinityKey;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        Self::copy_from_slice(key.as_bytes())
    }
}

impl TryFrom<&str> for AffinityKey {
    type Error = InvalidAffinityKey;

    fn try_from(key: &str) -> Result<Self, Self::Error> {
        Self::copy_from_slice(key.as_bytes())
    }
}

impl TryFrom<String> for AffinityKey {
    type Error = InvalidAffinityKey;

    fn try_from(key: String) -> Result<Self, Self::Error> {
        examine(key.as_bytes())?;
        let value = HeaderValue::try_from(key).expect("a key is a valid header value");
        Ok(Self::from_checked(value))
    }
}

/// Copies the bytes, and keeps the sensitive flag.
///
/// So the key does not keep alive the buffer that the value is a slice of (hyper's read buffer has 8 KiB).
/// For a key that is sent with the same request, [`RequestHead::key`](crate::RequestHead::key) does not copy.
impl TryFrom<&HeaderValue> for AffinityKey {
    type Error = InvalidAffinityKey;

    fn try_from(value: &HeaderValue) -> Result<Self, Self::Error> {
        let mut key = Self::copy_from_slice(value.as_bytes())?;
        key.0.set_sensitive(value.is_sensitive());
        Ok(key)
    }
}

/// Takes the value without a copy, and keeps the sensitive flag.
///
/// The key keeps alive the buffer that the value is a slice of; [`into_owned`](AffinityKey::into_owned)
/// copies it.
impl TryFrom<HeaderValue> for AffinityKey {
    type Error = InvalidAffinityKey;

    fn try_from(value: HeaderValue) -> Result<Self, Self::Error> {
        examine(value.as_bytes())?;
        Ok(Self::from_checked(value))
    }
}

impl From<AffinityKey> for HeaderValue {
    fn from(key: AffinityKey) -> Self {
        key.0
    }
}

impl fmt::Debug for AffinityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AffinityKey").finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidAffinityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reason::Empty => write!(
                f,
                "affinity key is empty, expected 1 to {} bytes",
                AffinityKey::MAX_LEN
            ),
            Reason::TooLong { len } => write!(
                f,
                "affinity key has {len} bytes, expected at most {}",
                AffinityKey::MAX_LEN
            ),
            Reason::InvalidByte { byte, index } => write!(
                f,
                "affinity key has invalid byte {byte:#04x} at index {index}, expected visible ASCII \
                 other than a comma"
            ),
        }
    }
}

impl std::error::Error for InvalidAffinityKey {}

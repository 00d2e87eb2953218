//! The key that names a session: a validated header value.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

/// An opaque name of a session, valid as a header value at every peer.
///
/// A key has 1 to 255 bytes ([`AffinityKey::MAX_LEN`]), each a visible ASCII character (`0x21` to
/// `0x7E`) other than the comma. The grammar is narrower than RFC 9110's, because what it leaves out
/// changes on the way:
///
/// - white space is trimmed by peers;
/// - a non-ASCII character is sent as Latin-1 by Node and as UTF-8 by workerd, so that one id
///   becomes two keys;
/// - a comma is a list separator to HAProxy and to proxies that join repeated headers;
/// - 255 bytes is what the strictest general gateway takes (Bifrost).
///
/// A clone never allocates. `Debug` does not show the key, and there is no `Display`.
///
/// A key is not a secret and must not be one: gateways log it. Do not use a credential, and do not
/// use a request id, which changes on every turn.
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
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AffinityKey(HeaderValue);

/// The error returned for bytes that are not a valid [`AffinityKey`]: what is wrong and where, never the
/// value.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::AffinityKey;
///
/// let error = AffinityKey::try_from("user, abc").unwrap_err();
/// assert_eq!(error.to_string(), "affinity key has invalid byte 0x2c at index 4");
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
    /// The most bytes that a key can have.
    pub const MAX_LEN: usize = 255;

    /// Makes a key from a literal; in a `const`, a bad one is a compile error.
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
    /// If `key` breaks the grammar of [`AffinityKey`].
    #[must_use]
    #[track_caller]
    pub const fn from_static(key: &'static str) -> Self {
        match check(key.as_bytes()) {
            Ok(()) => Self(HeaderValue::from_static(key)),
            Err(Reason::Empty) => panic!("affinity key is empty"),
            Err(Reason::TooLong { .. }) => panic!("affinity key has over 255 bytes"),
            Err(Reason::InvalidByte { .. }) => panic!("affinity key has an invalid byte"),
        }
    }

    /// Returns the key as text, which is ASCII.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "visible ASCII was checked when the key was made"
    )]
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a key is visible ASCII")
    }

    /// Returns the key as it goes into a header.
    #[must_use]
    pub const fn as_header_value(&self) -> &HeaderValue {
        &self.0
    }

    /// Takes over a checked value and makes its clones free of allocation.
    fn from_checked(value: HeaderValue) -> Self {
        // A value made from a fresh buffer gets its reference count, an allocation, at its first
        // clone. That clone is made here, where the key is made, and not while a request waits.
        drop(value.clone());
        Self(value)
    }

    /// Shares the bytes of a header value, if they are a key.
    // The clone of a value has its reference count already, so that no further clone allocates.
    #[inline]
    pub(crate) fn sharing(value: &HeaderValue) -> Option<Self> {
        is_valid(value.as_bytes()).then(|| Self(value.clone()))
    }

    /// Copies the key's bytes, for a key that is kept for longer than its request.
    ///
    /// A key that [`RequestHead::key`](crate::RequestHead::key), [`FromHeaders`](crate::FromHeaders) or
    /// `TryFrom<HeaderValue>` makes of an inbound header shares the header's bytes. Over HTTP/1 they are a
    /// slice of hyper's read buffer, and a clone that is kept keeps all 8 KiB of it. `TryFrom<&HeaderValue>`,
    /// `TryFrom<&str>` and `FromStr` copy by themselves. The sensitive flag survives.
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

    /// Takes over the text of a UUID, whose clones are free of allocation as it is.
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
// Without an early end, so that the compiler checks 16 bytes at a time.
#[inline]
fn is_valid(bytes: &[u8]) -> bool {
    let is_valid_byte = |byte: u8| byte.wrapping_sub(b'!') <= b'~' - b'!' && byte != b',';
    let are_valid = bytes
        .iter()
        .fold(true, |valid, &byte| valid & is_valid_byte(byte));
    are_valid && !bytes.is_empty() && bytes.len() <= AffinityKey::MAX_LEN
}

/// Looks for the reason only where there is one.
#[inline]
fn examine(bytes: &[u8]) -> Result<(), InvalidAffinityKey> {
    if is_valid(bytes) {
        return Ok(());
    }
    check(bytes).map_err(InvalidAffinityKey)
}

/// The grammar of a key; nothing else looks at its bytes.
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

/// Copies the bytes, so that a key that is kept does not keep the buffer that the value is a slice of
/// (hyper's read buffer has 8 KiB). The sensitive flag survives.
///
/// For a key that goes into the same request, [`RequestHead::key`](crate::RequestHead::key) does not copy.
impl TryFrom<&HeaderValue> for AffinityKey {
    type Error = InvalidAffinityKey;

    fn try_from(value: &HeaderValue) -> Result<Self, Self::Error> {
        let mut key = Self::copy_from_slice(value.as_bytes())?;
        key.0.set_sensitive(value.is_sensitive());
        Ok(key)
    }
}

/// Takes over the value as it is, with its sensitive flag and the buffer that it is a slice of;
/// [`into_owned`](AffinityKey::into_owned) copies it.
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
            Reason::Empty => f.write_str("affinity key is empty"),
            Reason::TooLong { len } => {
                write!(
                    f,
                    "affinity key has {len} bytes, at most {}",
                    AffinityKey::MAX_LEN
                )
            }
            Reason::InvalidByte { byte, index } => {
                write!(
                    f,
                    "affinity key has invalid byte {byte:#04x} at index {index}"
                )
            }
        }
    }
}

impl std::error::Error for InvalidAffinityKey {}

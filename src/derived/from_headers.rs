//! Keys that are derived from a caller's headers.

use http::HeaderValue;

use crate::merge::is_blank;
use crate::{AffinityKey, AffinitySecret, FromHeaders, KeyExtractor, RequestHead};

/// Derives a key from the first value of several headers that is not blank; made by [`FromHeaders::derived`].
///
/// Any value makes a valid key, because the key is the UUID that [`AffinitySecret::key_for`] derives from it.
#[derive(Clone, Debug)]
pub struct DerivedFromHeaders {
    headers: FromHeaders,
    secret: AffinitySecret,
}

impl FromHeaders {
    /// Derives the key from the first value that is not blank, valid or not.
    ///
    /// The key is [`secret.key_for`](AffinitySecret::key_for) of the value without the spaces and tabs at
    /// both ends. Needs the feature `hmac`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{AffinitySecret, FromHeaders, KeyExtractor, header};
    ///
    /// let secret = AffinitySecret::new(&[7; 32])?;
    /// let sessions = FromHeaders::new(header::CALLER_SESSIONS).derived(secret.clone());
    ///
    /// let request = http::Request::get("/").header("x-session-id", " a session of 2026 ").body(())?;
    /// let key = sessions.extract((&request).into());
    /// assert_eq!(key, Some(secret.key_for(["a session of 2026"])));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn derived(self, secret: AffinitySecret) -> DerivedFromHeaders {
        DerivedFromHeaders {
            headers: self,
            secret,
        }
    }
}

impl KeyExtractor for DerivedFromHeaders {
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        let is_something = |value: &&HeaderValue| !is_blank(value);
        let value = self.headers.values(head).find(is_something)?;
        Some(self.secret.key_for([value.as_bytes().trim_ascii()]))
    }
}

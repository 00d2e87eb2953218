//! Keys that are derived from a cookie.

use crate::{AffinityKey, AffinitySecret, FromCookie, KeyExtractor, RequestHead};

/// Derives a key from the first value of a cookie that is not blank; made by [`FromCookie::derived`].
///
/// Any value makes a valid key, because the key is the UUID that [`AffinitySecret::key_for`] derives from it.
#[derive(Clone, Debug)]
pub struct DerivedFromCookie {
    cookie: FromCookie,
    secret: AffinitySecret,
}

impl FromCookie {
    /// Derives the key from the first value that is not blank, valid or not.
    ///
    /// The key is [`secret.key_for`](AffinitySecret::key_for) of the value. Use it for a login's cookie, and for
    /// a value that is too long to be a key, such as a JWT. Needs the feature `hmac`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{AffinitySecret, FromCookie, KeyExtractor};
    ///
    /// let secret = AffinitySecret::new(&[7; 32])?;
    /// let session = FromCookie::new("sid")?.derived(secret.clone());
    ///
    /// let request = http::Request::get("/").header("cookie", "sid=eyJhbGci").body(())?;
    /// assert_eq!(session.extract((&request).into()), Some(secret.key_for(["eyJhbGci"])));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn derived(self, secret: AffinitySecret) -> DerivedFromCookie {
        DerivedFromCookie {
            cookie: self,
            secret,
        }
    }
}

impl KeyExtractor for DerivedFromCookie {
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        let value = self.cookie.values(head).next()?;
        Some(self.secret.key_for([value]))
    }
}

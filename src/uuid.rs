//! A UUID as a key.

use uuid::Uuid;

use crate::AffinityKey;

/// Takes the hyphenated form in lower case (36 bytes), which fits every documented limit.
///
/// Needs the feature `uuid`, for uuid 1. One UUID is one session: make it when the session begins, not for
/// each request.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::AffinityKey;
/// use uuid::Uuid;
///
/// let session: Uuid = "5F0E9C1A-93D1-4A0E-8E8B-3F1A5C2D7B64".parse()?;
/// let key = AffinityKey::from(session);
/// assert_eq!(key.as_str(), "5f0e9c1a-93d1-4a0e-8e8b-3f1a5c2d7b64");
/// # Ok::<_, uuid::Error>(())
/// ```
impl From<Uuid> for AffinityKey {
    fn from(uuid: Uuid) -> Self {
        let mut text = Uuid::encode_buffer();
        let text: &str = uuid.hyphenated().encode_lower(&mut text);
        text.try_into()
            .expect("a UUID is 36 bytes of visible ASCII")
    }
}

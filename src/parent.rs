//! The key of the session that a sub-agent's session belongs to.

use crate::{AffinityKey, KeyExtractor, RequestHead};

/// The session of the agent that started this one.
///
/// It is for gateways that bind a sub-agent near its parent and read the parent's session from a second
/// header, as NVIDIA Dynamo does from `x-dynamo-parent-session-id`. It goes into a request's extensions,
/// or with the feature `scope` into a scope, and [`FromParent`] takes it from there.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, FromParent, KeyExtractor, ParentKey};
///
/// let parent = ParentKey("chat-7".parse()?);
/// let request = http::Request::get("/").extension(parent).body(())?;
/// assert_eq!(FromParent.extract((&request).into()), Some(AffinityKey::from_static("chat-7")));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParentKey(pub AffinityKey);

/// Takes the [`ParentKey`] in the request's extensions, else with the feature `scope` that of the scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromParent;

impl KeyExtractor for FromParent {
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        let parent = head.extensions().get::<ParentKey>().cloned();
        #[cfg(feature = "scope")]
        let parent = parent.or_else(ParentKey::current);
        parent.map(|ParentKey(key)| key)
    }
}

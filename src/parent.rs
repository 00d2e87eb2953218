//! The session that started a sub-agent's session.

use crate::{AffinityKey, KeyExtractor, RequestHead};

/// The session of the agent that started this one.
///
/// Some gateways place a sub-agent near its parent. They read the parent's session from a second header, as
/// NVIDIA Dynamo does from `x-dynamo-parent-session-id`. Put this key into a request's extensions, or with
/// the feature `scope` into a scope; [`FromParent`] takes it from there.
///
/// # Examples
///
/// ```
/// use http::Request;
/// use tower::ServiceBuilder;
/// use tower_session_affinity::{
///     AffinityKey, FromParent, ParentKey, SessionAffinityLayer, header,
/// };
///
/// let own = SessionAffinityLayer::new().header_name(header::X_DYNAMO_SESSION_ID);
/// let parent = SessionAffinityLayer::from_source(FromParent)
///     .header_name(header::X_DYNAMO_PARENT_SESSION_ID);
/// # let client = tower::service_fn(async |request: Request<()>| Ok::<_, http::Error>(request));
/// let client = ServiceBuilder::new().layer(own).layer(parent).service(client);
///
/// let request = Request::post("https://dynamo.internal/v1/chat/completions")
///     .extension(AffinityKey::from_static("research-1"))
///     .extension(ParentKey(AffinityKey::from_static("chat-7")))
///     .body(())?;
/// # tokio_test::block_on(async {
/// # use tower::ServiceExt;
/// let sent = client.oneshot(request).await?;
/// assert_eq!(sent.headers()["x-dynamo-session-id"], "research-1");
/// assert_eq!(sent.headers()["x-dynamo-parent-session-id"], "chat-7");
/// # Ok::<_, http::Error>(())
/// # })?;
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ParentKey(pub AffinityKey);

/// Takes the [`ParentKey`] from the request's extensions.
///
/// If there is none and the feature `scope` is on, it takes the one of the scope. [`ParentKey`] has an example.
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

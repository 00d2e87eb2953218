//! The server layer that opens a scope for each request.

use tower_layer::Layer;

use super::AffinityScope;
use crate::{AffinityKey, FromExtension, FromFn, KeyExtractor, Or, RequestHead, from_fn};

/// Answers each request in the scope of its key, so that every call made meanwhile can carry it.
///
/// It is a layer for servers. The key comes from the request's extensions, else from the fallbacks, in
/// the order in which they were added. The inner service's `call`, its future, and the response's body
/// while it is streamed run in the scope. A request without a key, or with
/// [`NoAffinity`](crate::NoAffinity) in its extensions, is answered in a scope that has none. The
/// [`ParentKey`](crate::ParentKey) of the scope is the one in the request's extensions.
///
/// On the client, [`FromScope`](crate::FromScope) takes the key from there; a handler reads it with
/// [`AffinityKey::current`]. The request itself goes on as it came.
///
/// Put the layer *inside* of whatever its key depends on, such as an authentication that adds the
/// caller's claims: outside of it there is no claim yet, and so no key.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, http::Request, routing::post};
/// use tower::ServiceExt;
/// use tower_session_affinity::{AffinityKey, AffinityScopeLayer, FromHeaders, header};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = FromHeaders::new([header::X_SESSION_AFFINITY, header::X_SESSION_ID]);
/// let app = Router::new()
///     .route("/chat", post(async || {
///         assert_eq!(AffinityKey::current(), Some(AffinityKey::from_static("chat-7")));
///     }))
///     .layer(AffinityScopeLayer::new().or(sessions));
///
/// let request = Request::post("/chat").header("x-session-id", "chat-7").body(Body::empty())?;
/// assert!(app.oneshot(request).await?.status().is_success());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct AffinityScopeLayer<K = FromExtension> {
    extractor: K,
}

impl AffinityScopeLayer {
    /// Takes the key from the request's extensions.
    pub const fn new() -> Self {
        Self {
            extractor: FromExtension,
        }
    }
}

impl<K> AffinityScopeLayer<K> {
    /// Asks this source where no earlier one has a key.
    ///
    /// Where none has one, the key of an outer scope is hidden; with
    /// `.or(`[`FromScope`](crate::FromScope)`)` it stays.
    pub fn or<E: KeyExtractor>(self, fallback: E) -> AffinityScopeLayer<Or<K, E>> {
        AffinityScopeLayer {
            extractor: Or::new(self.extractor, fallback),
        }
    }

    /// Asks this closure where no earlier source has a key.
    pub fn or_fn<F>(self, fallback: F) -> AffinityScopeLayer<Or<K, FromFn<F>>>
    where
        F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
    {
        self.or(from_fn(fallback))
    }
}

impl Default for AffinityScopeLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, K: Clone> Layer<S> for AffinityScopeLayer<K> {
    type Service = AffinityScope<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        AffinityScope::new(inner, self.extractor.clone())
    }
}

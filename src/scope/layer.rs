//! The server layer that opens a scope for each request.

use tower_layer::Layer;

use super::AffinityScope;
use crate::{AffinityKey, FromExtension, FromFn, KeyExtractor, Or, RequestHead, from_fn};

/// A server layer that handles each request in the scope of its key, so the handler's calls can send it.
///
/// The key comes from the request's extensions, or else from the first fallback that has one, in the order in
/// which they were added. A client takes it from the scope with [`FromScope`](crate::FromScope), and a handler
/// with [`AffinityKey::current`].
///
/// The feature `scope` adds tokio with its feature `rt`, `http-body` and `pin-project-lite`. It tells tasks
/// apart by their tokio id; under a different executor see the [limits](crate::Scoped#limits).
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
///
/// The inner service's `call`, its future, and the response's body while it streams run in the scope. The
/// request is passed on unchanged. A request without a key, or with [`NoAffinity`](crate::NoAffinity) in its
/// extensions, is handled in a scope without a key. The [`ParentKey`](crate::ParentKey) of the scope is the one
/// in the request's extensions.
///
/// Put the layer *inside* whatever its key depends on, such as an authentication layer that adds the caller's
/// claims. Outside it, the claims are not there yet, so there is no key. More:
/// [what a scope reaches](crate::guide::scope).
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
    /// Adds a source, which is asked if no earlier one has a key.
    ///
    /// If no source has a key, the key of an outer scope is hidden. To keep it, add
    /// `.or(`[`FromScope`](crate::FromScope)`)`.
    pub fn or<E: KeyExtractor>(self, fallback: E) -> AffinityScopeLayer<Or<K, E>> {
        AffinityScopeLayer {
            extractor: Or::new(self.extractor, fallback),
        }
    }

    /// Adds a closure, which is called if no earlier source has a key.
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

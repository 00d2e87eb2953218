//! The layer; `settings.rs` has what can be set.

use std::sync::Arc;

use http::HeaderName;
use tower_layer::Layer;
use tower_session_affinity::FromExtension;

use crate::exchange::Shared;
use crate::health::Health;
use crate::rules::Rules;
use crate::store::DefaultStore;
use crate::{AffinityToken, TokenStore};

/// Remembers the token that a gateway issues to a session, and sends it with the next request.
///
/// The session is named by the same sources of keys as in `SessionAffinityLayer`: a key in the request's
/// extensions, else the fallbacks, in the order in which they were added. The key is used to look the
/// token up and is never sent.
///
/// # The request
///
/// The rows of [`MergePolicy`](tower_session_affinity::MergePolicy)'s table hold, with the remembered
/// token in the place of the key: at most one value is sent, and a blank one counts as absent. A request
/// without an authority, a key or a remembered token is sent without the header (but see
/// [`opening`](Self::opening)). So is one whose header map is full (24,576 names) and has no value to
/// replace, and a `CONNECT` for a tunnel, whose headers go to the proxy.
///
/// # The answer
///
/// What is remembered belongs to a [`Session`](crate::Session): the key, the origin and the header name.
///
/// - **A different token** than the request carried is remembered, whatever the status: the latest answer
///   wins (but see [`first_token_wins`](Self::first_token_wins)). The first valid value of the response
///   header counts. A token that was forgotten after the request was sent stays forgotten.
/// - **A token is dead** if it was sent, the answer brings no other, and the answer's status says so
///   ([`forget_on`](Self::forget_on)), or its [lifetime](Self::lifetime) has ended, or the answer says that
///   the session is [closed](Self::closed_header). It is forgotten at once, so that the next attempt
///   starts anew.
/// - **A failure** is an error of the inner service, the status 502 or 504, or a future that was polled and
///   then dropped without an answer. At the second one in a row of requests that carried the token, it is
///   forgotten; any other answer begins the count anew ([`forget_after`](Self::forget_after)).
///
/// The answer is handed on as it is. Where a request is sent with its caller's own token, nothing is
/// remembered and nothing forgotten, since nobody knows that this token belongs to the key's session.
///
/// One layer serves one header; clones, and the services that it makes, share what they remember and
/// count. It goes inside of a retry (each attempt asks anew) and inside of whatever changes the host.
///
/// # Examples
///
/// ```
/// use http::{Request, Response};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
/// use tower_affinity_token::{AffinityTokenLayer, header};
/// use tower_session_affinity::AffinityKey;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // A gateway that issues a token, and answers with the one that it received.
/// let gateway = service_fn(async |request: Request<()>| {
///     let echoed = request.headers().get("x-session-token").cloned();
///     Response::builder().header("x-session-token", "replica-3").body(echoed)
/// });
/// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN);
/// let mut client = ServiceBuilder::new().layer(layer).service(gateway);
///
/// let key: AffinityKey = "chat-7".parse()?;
/// let turn = || Request::get("https://api.example/v1/chat").extension(key.clone()).body(());
/// assert_eq!(client.ready().await?.call(turn()?).await?.into_body(), None);
/// assert_eq!(client.ready().await?.call(turn()?).await?.into_body().unwrap(), "replica-3");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct AffinityTokenLayer<K = FromExtension, St = DefaultStore> {
    pub(crate) extractor: K,
    pub(crate) rules: Rules,
    pub(crate) store: St,
    pub(crate) health: Arc<Health>,
}

#[cfg(feature = "memory")]
impl AffinityTokenLayer {
    /// Takes the key from the request's extensions, reads and sends the token under `header_name`, keeps
    /// a caller's header, allows every host, and remembers with the bounds of
    /// [`MemoryStore::new`](crate::MemoryStore::new).
    ///
    /// Needs the feature `memory`, which is on by default.
    pub fn new(header_name: HeaderName) -> Self {
        Self::with_store(header_name, crate::MemoryStore::new())
    }
}

impl<St: TokenStore> AffinityTokenLayer<FromExtension, St> {
    /// Does what [`new`](AffinityTokenLayer::new) does, and remembers in this store.
    ///
    /// Each service has a clone of it, so a clone must share what it remembers: an `Arc` of a
    /// [`TokenStore`] is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use tower_affinity_token::{AffinityTokenLayer, MemoryStore, TokenStore, header};
    ///
    /// let store: Arc<dyn TokenStore + Send + Sync> = Arc::new(MemoryStore::new());
    /// let layer = AffinityTokenLayer::with_store(header::X_SESSION_TOKEN, store);
    /// ```
    pub fn with_store(header_name: HeaderName, store: St) -> Self {
        Self {
            extractor: FromExtension,
            rules: Rules::new(header_name),
            store,
            health: Arc::default(),
        }
    }
}

impl<S, K: Clone, St: Clone> Layer<S> for AffinityTokenLayer<K, St> {
    type Service = AffinityToken<S, K, St>;

    fn layer(&self, inner: S) -> Self::Service {
        let shared = Shared {
            rules: self.rules.clone(),
            store: self.store.clone(),
            health: self.health.clone(),
        };
        AffinityToken::new(inner, self.extractor.clone(), Arc::new(shared))
    }
}

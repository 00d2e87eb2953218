//! The layer; its settings are in `settings.rs`.

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
/// The session is named by a key, from the same sources as in `SessionAffinityLayer`: the request's
/// extensions, then the fallbacks in the order in which they were added. The key is used to look up the
/// token and is never sent.
///
/// # The request
///
/// The table of [`MergePolicy`](tower_session_affinity::MergePolicy) applies, with the remembered token in
/// place of the key: at most one value is sent, and a blank value counts as absent. The request is sent
/// without the header if it has no authority or no key, or if no token is remembered (but see
/// [`opening`](Self::opening)). The same goes for a header map that is full (24,576 names) and has no value to
/// replace, and for a `CONNECT` that opens a tunnel, since its headers go to the proxy.
///
/// # The response
///
/// A token is remembered for a [`Session`](crate::Session): the key, the origin and the header name.
///
/// - **A new token**, different from the one that the request carried, is remembered whatever the status:
///   the latest response wins (but see [`first_token_wins`](Self::first_token_wins)). The first valid value
///   of the response header counts. A token that was forgotten after the request was sent stays forgotten.
/// - **A dead token** is forgotten at once, so that the next attempt starts over. The token that was sent is
///   dead if the response's status says so ([`forget_on`](Self::forget_on)), if the response repeats it with a
///   [lifetime](Self::lifetime) that has ended, or if the response [closes its session](Self::closed_header).
/// - **A failure** is an error of the inner service, the status 502 or 504, or a future that was polled and
///   then dropped without a response. The token is forgotten at the second consecutive failure of requests
///   that carried it; any other response resets the count ([`forget_after`](Self::forget_after)).
///
/// The response is passed on unchanged. If a request is sent with the caller's own token, its response is
/// ignored, since that token may not belong to the key's session.
///
/// One layer handles one header. Clones of the layer, and the services that it produces, share tokens and
/// failure counts. Place it inside a retry, so that each attempt looks up the token again, and inside anything
/// that rewrites the host.
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
/// // A gateway that issues a token, and returns the one that it received.
/// let gateway = service_fn(async |request: Request<()>| {
///     let echoed = request.headers().get("x-session-token").cloned();
///     Response::builder().header("x-session-token", "replica-3").body(echoed)
/// });
/// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN);
/// let mut client = ServiceBuilder::new().layer(layer).service(gateway);
///
/// let key: AffinityKey = "chat-7".parse()?;
/// let uri = "https://llm.example/v1/chat";
/// let turn = || Request::get(uri).extension(key.clone()).body(());
/// let first = client.ready().await?.call(turn()?).await?;
/// assert_eq!(first.into_body(), None);
/// let second = client.ready().await?.call(turn()?).await?;
/// assert_eq!(second.into_body().unwrap(), "replica-3");
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
    /// Creates a layer that reads and sends the token in this header.
    ///
    /// It takes the key from the request's extensions, keeps a caller's header, allows every host, and
    /// remembers tokens within the bounds of [`MemoryStore::new`](crate::MemoryStore::new).
    ///
    /// Needs the feature `memory`, which is on by default.
    pub fn new(header_name: HeaderName) -> Self {
        Self::with_store(header_name, crate::MemoryStore::new())
    }
}

impl<St: TokenStore> AffinityTokenLayer<FromExtension, St> {
    /// Creates a layer like [`new`](AffinityTokenLayer::new) that remembers tokens in this store.
    ///
    /// Each service gets a clone of the store, and clones must share their tokens. An `Arc` of a [`TokenStore`]
    /// does.
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

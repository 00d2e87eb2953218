//! The layer, and its settings.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use tower_layer::Layer;
use tower_session_affinity::{
    AffinityKey, FromExtension, FromFn, HostPattern, KeyExtractor, MergePolicy, Or, RequestHead,
    from_fn,
};

use crate::exchange::{Rules, Shared};
use crate::{AffinityToken, MemoryStore, TokenStore};

/// Remembers the token that a gateway issues to a session, and sends it with the next request.
///
/// The session is named by the same sources of keys as in `SessionAffinityLayer`: the request's
/// extensions, else the fallbacks, in the order in which they were added. The key is used to look the
/// token up and never leaves.
///
/// **Out.** The rows of [`MergePolicy`]'s table hold, with the remembered token for the key: at most
/// one value leaves, and a blank one counts as absent. A request without an authority, a key or a
/// remembered token leaves without (but see [`opening`](Self::opening)). So does one whose header map
/// is full (24,576 names) and has no value to replace.
///
/// **Back.** The first valid token of the response header is remembered, whatever the status: the
/// latest answer wins. An answer whose status says that the token is dead
/// ([`forget_on`](Self::forget_on)) and that brings no other makes the session forget it, so that the
/// next attempt starts anew. The answer is handed on as it is. An error of the inner service, and a
/// future that is dropped, teach nothing.
///
/// Where a request leaves with its caller's own token, nothing is remembered from its answer and nothing
/// forgotten, since nobody knows that this token belongs to the key's session.
///
/// One layer serves one header; clones, and the services that it makes, share what they remember. It
/// goes below a retry (each attempt asks anew) and below whatever changes the host.
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
pub struct AffinityTokenLayer<K = FromExtension, St = MemoryStore> {
    extractor: K,
    rules: Rules,
    store: St,
}

impl AffinityTokenLayer {
    /// Takes the key from the request's extensions, reads and sends the token under `name`, keeps a
    /// caller's header, allows every host, and remembers with the bounds of [`MemoryStore::new`].
    pub fn new(name: HeaderName) -> Self {
        Self {
            extractor: FromExtension,
            rules: Rules {
                response_header: name.clone(),
                request_header: name,
                token_part: |value| value,
                opening: None,
                merge_policy: MergePolicy::Keep,
                only_hosts: None,
                is_dead: |status| matches!(status.as_u16(), 404 | 410 | 503),
            },
            store: MemoryStore::new(),
        }
    }
}

impl<K, St> AffinityTokenLayer<K, St> {
    /// Asks this source where no earlier one has a key.
    pub fn or<E: KeyExtractor>(self, fallback: E) -> AffinityTokenLayer<Or<K, E>, St> {
        AffinityTokenLayer {
            extractor: Or::new(self.extractor, fallback),
            rules: self.rules,
            store: self.store,
        }
    }

    /// Asks this closure where no earlier source has a key.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_affinity_token::{AffinityTokenLayer, header};
    ///
    /// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
    ///     .or_fn(|req| req.headers().get("x-user-id")?.try_into().ok());
    /// ```
    pub fn or_fn<F>(self, fallback: F) -> AffinityTokenLayer<Or<K, FromFn<F>>, St>
    where
        F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
    {
        self.or(from_fn(fallback))
    }

    /// Reads the token from a response header of this name, instead of the request's.
    pub fn response_header(mut self, name: HeaderName) -> Self {
        self.rules.response_header = name;
        self
    }

    /// Takes only this part of the response header for the token.
    ///
    /// An empty part is no token. `part` is a function, or a closure that captures nothing.
    ///
    /// # Examples
    ///
    /// SageMaker answers `ID; Expires=2026-11-23T15:00:00Z` and expects the `ID`:
    ///
    /// ```
    /// use http::HeaderValue;
    /// use tower_affinity_token::{AffinityTokenLayer, header};
    ///
    /// let layer = AffinityTokenLayer::new(header::X_AMZN_SAGEMAKER_SESSION_ID)
    ///     .response_header(header::X_AMZN_SAGEMAKER_NEW_SESSION_ID)
    ///     .token_part(|value| value.split(|byte| *byte == b';').next().unwrap_or_default())
    ///     .opening(HeaderValue::from_static("NEW_SESSION"));
    /// ```
    pub fn token_part(mut self, part: fn(&[u8]) -> &[u8]) -> Self {
        self.rules.token_part = part;
        self
    }

    /// Sends this value where no token is remembered, for a gateway that has to be asked for one.
    ///
    /// A request without a key or an authority does not send it, since its token could not be
    /// remembered.
    pub fn opening(mut self, value: HeaderValue) -> Self {
        self.rules.opening = Some(value);
        self
    }

    /// Decides what becomes of a header that is already there.
    pub const fn merge_policy(mut self, policy: MergePolicy) -> Self {
        self.rules.merge_policy = policy;
        self
    }

    /// Lets the header, a caller's own included, reach these hosts and no others.
    ///
    /// An empty list allows none. A request whose URI has no authority goes to no listed host.
    /// Whatever the list, a token goes only to the authority that issued it.
    pub fn only_hosts(mut self, hosts: impl IntoIterator<Item = HostPattern>) -> Self {
        self.rules.only_hosts = Some(hosts.into_iter().collect());
        self
    }

    /// Decides which statuses say that the token that was sent is dead.
    ///
    /// By default these are 404, 410 and 503. 400 is not among them, since a context that is too long is
    /// answered with it, too. `is_dead` is asked only about answers to requests that carried a
    /// remembered token; it is a function, or a closure that captures nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_affinity_token::{AffinityTokenLayer, header};
    ///
    /// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
    ///     .forget_on(|status| status.is_server_error() || status == StatusCode::BAD_REQUEST);
    /// ```
    pub const fn forget_on(mut self, is_dead: fn(StatusCode) -> bool) -> Self {
        self.rules.is_dead = is_dead;
        self
    }

    /// Remembers in this store.
    ///
    /// Each service has a clone of it, so a clone must share what it remembers: an `Arc` of a
    /// [`TokenStore`] is one.
    pub fn store<T: TokenStore>(self, store: T) -> AffinityTokenLayer<K, T> {
        AffinityTokenLayer {
            extractor: self.extractor,
            rules: self.rules,
            store,
        }
    }
}

impl<S, K: Clone, St: Clone> Layer<S> for AffinityTokenLayer<K, St> {
    type Service = AffinityToken<S, K, St>;

    fn layer(&self, inner: S) -> Self::Service {
        let shared = Shared {
            rules: self.rules.clone(),
            store: self.store.clone(),
        };
        AffinityToken::new(inner, self.extractor.clone(), Arc::new(shared))
    }
}

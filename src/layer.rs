//! The layer and its settings.

use http::{Extensions, HeaderMap, HeaderName, Method, Uri};
use tower_layer::Layer;

use crate::outcome::Hook;
use crate::stamp::{Settings, Stamp, StampableParts};
use crate::{
    AffinityKey, Destinations, FromExtension, FromFn, FromHeaders, HostPattern, KeyExtractor,
    MergePolicy, Or, Outcome, RequestHead, SessionAffinity, from_fn,
};

/// Sends at most one session-affinity header with each request.
///
/// The key comes from the request's extensions, or else from the first fallback that has one, in the order
/// in which they were added. It is sent as `x-session-affinity`, or under the name that each provider reads
/// ([`destinations`](Self::destinations)). Where the layer goes among redirects, retries and buffers:
/// [placement](crate::guide::placement).
///
/// # Examples
///
/// ```
/// use http::Request;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_session_affinity::{AffinityKey, SessionAffinityLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = service_fn(|request: Request<()>| async move {
///     Ok::<_, std::convert::Infallible>(request.headers()["x-session-affinity"].clone())
/// });
/// let client = ServiceBuilder::new().layer(SessionAffinityLayer::new()).service(client);
///
/// let key: AffinityKey = "chat-7".parse()?;
/// let request = Request::get("https://api.example/v1/chat").extension(key).body(())?;
/// assert_eq!(client.oneshot(request).await?, "chat-7");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct SessionAffinityLayer<K = FromExtension> {
    pub(crate) stamp: Stamp<K>,
}

impl SessionAffinityLayer {
    /// Takes the key from the request's extensions, and sends it as `x-session-affinity` to every host.
    ///
    /// A caller's own header is kept.
    pub const fn new() -> Self {
        Self::from_source(FromExtension)
    }
}

impl<K> SessionAffinityLayer<K> {
    /// Takes the key from this source instead of the request's extensions.
    ///
    /// Use it for a second layer that sends a different id, such as a tenant or a parent session.
    /// [`NoAffinity`](crate::NoAffinity) in the extensions applies to it as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{SessionAffinityLayer, from_fn, header};
    ///
    /// let tenant = SessionAffinityLayer::from_source(from_fn(|req| req.key("x-tenant-id")))
    ///     .header_name(header::X_LLM_D_INFERENCE_FAIRNESS_ID);
    ///
    /// let request = http::Request::get("/").header("x-tenant-id", "acme").body(())?;
    /// let (mut parts, ()) = request.into_parts();
    /// tenant.stamp(&parts.method, &parts.uri, &mut parts.headers, &parts.extensions);
    /// assert_eq!(parts.headers["x-llm-d-inference-fairness-id"], "acme");
    /// # Ok::<_, http::Error>(())
    /// ```
    pub const fn from_source(source: K) -> Self {
        Self {
            stamp: Stamp {
                extractor: source,
                settings: Settings::new(),
            },
        }
    }

    /// Adds a source, which is asked if no earlier one has a key.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{AffinityKey, FromHeaders, SessionAffinityLayer, header};
    ///
    /// let layer = SessionAffinityLayer::new()
    ///     .or(FromHeaders::new([header::X_SESSION_ID]))
    ///     .or(AffinityKey::from_static("nightly-report"));
    ///
    /// let (mut parts, ()) = http::Request::get("/").body(())?.into_parts();
    /// layer.stamp(&parts.method, &parts.uri, &mut parts.headers, &parts.extensions);
    /// assert_eq!(parts.headers["x-session-affinity"], "nightly-report");
    /// # Ok::<_, http::Error>(())
    /// ```
    pub fn or<E: KeyExtractor>(self, fallback: E) -> SessionAffinityLayer<Or<K, E>> {
        let Stamp {
            extractor,
            settings,
        } = self.stamp;
        SessionAffinityLayer {
            stamp: Stamp {
                extractor: Or::new(extractor, fallback),
                settings,
            },
        }
    }

    /// Adds a closure, which is called if no earlier source has a key.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::SessionAffinityLayer;
    ///
    /// let layer = SessionAffinityLayer::new().or_fn(|req| req.key("x-user-id"));
    ///
    /// let request = http::Request::get("/").header("x-user-id", "u-42").body(())?;
    /// let (mut parts, ()) = request.into_parts();
    /// layer.stamp(&parts.method, &parts.uri, &mut parts.headers, &parts.extensions);
    /// assert_eq!(parts.headers["x-session-affinity"], "u-42");
    /// # Ok::<_, http::Error>(())
    /// ```
    pub fn or_fn<F>(self, fallback: F) -> SessionAffinityLayer<Or<K, FromFn<F>>>
    where
        F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
    {
        self.or(from_fn(fallback))
    }

    /// Adopts the session that a caller names in one of these headers, and removes the headers.
    ///
    /// Use it in a gateway that copies its caller's headers to the request that it sends. If no earlier source
    /// has a key, the first valid value is the key, as with [`FromHeaders`]. Whatever the outcome, none of
    /// these headers is sent, except the one that carries the key.
    /// [`header::CALLER_SESSIONS`](crate::header::CALLER_SESSIONS) is a list to start with.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{SessionAffinityLayer, header};
    ///
    /// let layer = SessionAffinityLayer::new().adopt(header::CALLER_SESSIONS);
    ///
    /// let request = http::Request::post("/").header("x-session-id", "chat-7").body(())?;
    /// let (mut parts, ()) = request.into_parts();
    /// layer.stamp(&parts.method, &parts.uri, &mut parts.headers, &parts.extensions);
    /// assert_eq!(parts.headers["x-session-affinity"], "chat-7");
    /// assert_eq!(parts.headers.len(), 1);
    /// # Ok::<_, http::Error>(())
    /// ```
    ///
    /// Under [`MergePolicy::Keep`], a value that the caller sends under the name that carries the key is kept
    /// and not checked. `adopt_derived` (feature `hmac`) never sends a raw value.
    pub fn adopt(
        mut self,
        names: impl IntoIterator<Item = HeaderName>,
    ) -> SessionAffinityLayer<Or<K, FromHeaders>> {
        let names: Vec<_> = names.into_iter().collect();
        let special = self.stamp.settings.special_mut();
        special.stripped.extend(names.iter().cloned());
        self.or(FromHeaders::new(names))
    }

    /// Sends the key under this name instead of `x-session-affinity`.
    ///
    /// A name that the other side does not read fails silently; [`header`](crate::header) says who reads which.
    /// If [`destinations`](Self::destinations) is set, each of its rows has its own name, and this one is not
    /// used.
    pub fn header_name(mut self, name: HeaderName) -> Self {
        self.stamp.settings.header_name = Some(name);
        self
    }

    /// Sets what happens when the header is already present, by default [`MergePolicy::Keep`].
    pub const fn merge_policy(mut self, policy: MergePolicy) -> Self {
        self.stamp.settings.merge_policy = policy;
        self
    }

    /// Sends the header, even a caller's own, to these hosts only.
    ///
    /// An empty list allows no host. If it is set twice, the last list applies.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{Extensions, HeaderMap, Method, Uri};
    /// use tower_session_affinity::{AffinityKey, HostPattern, Outcome, SessionAffinityLayer};
    ///
    /// let layer = SessionAffinityLayer::new()
    ///     .or(AffinityKey::from_static("chat-7"))
    ///     .only_hosts([HostPattern::from_static("*.fireworks.ai")]);
    ///
    /// let mut headers = HeaderMap::new();
    /// let other = Uri::from_static("https://fireworks.ai.example/v1");
    /// let outcome = layer.stamp(&Method::POST, &other, &mut headers, &Extensions::new());
    /// assert_eq!(outcome, Outcome::HostNotAllowed);
    /// assert!(headers.is_empty());
    /// ```
    ///
    /// # Limits
    ///
    /// - A request whose URI has no authority matches no list: put the layer inside whatever adds the host.
    /// - The list covers what passes through this layer. It does not cover a header that is added below it,
    ///   such as reqwest's `default_headers`, nor a forward proxy for plain HTTP, which reads every header. A
    ///   `CONNECT` for a tunnel never gets the header, whatever the list.
    /// - Use the list on clients. On an HTTP/1.1 server a request has no authority, so the header is never
    ///   sent. Over HTTP/2, and with a URI in absolute form, the *caller* chooses the host.
    /// - Two layers with the same header name and different lists cancel each other, because each removes the
    ///   header for the hosts that it does not list. To serve several providers, use
    ///   [`destinations`](Self::destinations).
    ///
    /// More: [what a list of hosts covers](crate::guide::privacy#what-a-list-of-hosts-covers).
    pub fn only_hosts(mut self, hosts: impl IntoIterator<Item = HostPattern>) -> Self {
        self.stamp.settings.special_mut().only_hosts = Some(hosts.into_iter().collect());
        self
    }

    /// Sends each provider the header that it reads.
    ///
    /// The first row that matches the request decides: its header carries the key, by the rules of
    /// [`MergePolicy`].
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{Extensions, HeaderMap, Method};
    /// use tower_session_affinity::{AffinityKey, Destinations, SessionAffinityLayer};
    ///
    /// let layer = SessionAffinityLayer::new()
    ///     .or(AffinityKey::from_static("chat-7"))
    ///     .destinations(Destinations::known());
    ///
    /// let mut headers = HeaderMap::new();
    /// let uri = "https://openrouter.ai/api/v1/chat/completions".parse()?;
    /// layer.stamp(&Method::POST, &uri, &mut headers, &Extensions::new());
    /// assert_eq!(headers["x-session-id"], "chat-7");
    /// # Ok::<_, http::uri::InvalidUri>(())
    /// ```
    ///
    /// Nothing is sent if no row matches, if the row does not name a header, or if the value is longer than
    /// the row takes. Every *other* header that the table names is removed, under both policies, so each name
    /// reaches only the hosts of its rows.
    ///
    /// If [`only_hosts`](Self::only_hosts) is set as well, a request must pass both. If the table is set twice,
    /// the last one applies.
    pub fn destinations(mut self, destinations: Destinations) -> Self {
        let special = self.stamp.settings.special_mut();
        let names = destinations.iter().filter_map(|row| row.header_name());
        special.stripped.extend(names.cloned());
        special.destinations = Some(destinations);
        self
    }

    /// Calls this closure once for each request, with the outcome and the head that is sent.
    ///
    /// The closure runs before the request is sent, so do no more than increment a counter. If it is set twice, the last closure is called.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use http::{Extensions, HeaderMap, Method, Uri};
    /// use tower_session_affinity::SessionAffinityLayer;
    ///
    /// let without_key = Arc::new(AtomicU64::new(0));
    /// let counter = without_key.clone();
    /// let layer = SessionAffinityLayer::new().on_outcome(move |outcome, _| {
    ///     counter.fetch_add(u64::from(!outcome.is_sent()), Ordering::Relaxed);
    /// });
    ///
    /// let uri = Uri::from_static("https://api.example/");
    /// layer.stamp(&Method::GET, &uri, &mut HeaderMap::new(), &Extensions::new());
    /// assert_eq!(without_key.load(Ordering::Relaxed), 1);
    /// ```
    pub fn on_outcome<F>(mut self, hook: F) -> Self
    where
        F: Fn(Outcome, RequestHead<'_>) + Send + Sync + 'static,
    {
        self.stamp.settings.special_mut().hook = Some(Hook::new(hook));
        self
    }

    /// Emits a warning for requests without a key ([`Outcome::NoKey`]), at most one a second (feature `tracing`).
    ///
    /// Use it where every request should have a key. Without the feature it has no effect.
    pub fn expect_key(mut self) -> Self {
        self.stamp.settings.special_mut().expects_key = true;
        self
    }
}

impl<K: KeyExtractor> SessionAffinityLayer<K> {
    /// Sets the header on a request in parts, for a client that has a hook instead of a `Service`.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{Extensions, HeaderMap, Method, Uri};
    /// use tower_session_affinity::{AffinityKey, Outcome, SessionAffinityLayer};
    ///
    /// let layer = SessionAffinityLayer::new().or(AffinityKey::from_static("chat-7"));
    /// let uri = Uri::from_static("https://api.example/v1/chat");
    /// let mut headers = HeaderMap::new();
    ///
    /// let outcome = layer.stamp(&Method::POST, &uri, &mut headers, &Extensions::new());
    /// assert_eq!(outcome, Outcome::Stamped);
    /// assert_eq!(headers["x-session-affinity"], "chat-7");
    /// ```
    pub fn stamp(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &mut HeaderMap,
        extensions: &Extensions,
    ) -> Outcome {
        self.stamp.stamp(&mut StampableParts {
            method,
            uri,
            headers,
            extensions,
        })
    }
}

impl Default for SessionAffinityLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, K: Clone> Layer<S> for SessionAffinityLayer<K> {
    type Service = SessionAffinity<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionAffinity::new(inner, self.stamp.clone())
    }
}

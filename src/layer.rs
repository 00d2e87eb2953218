//! The layer, and the settings of a stamp.

#[cfg(feature = "hmac")]
mod derive;

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
/// The key comes from the request's extensions, else from the fallbacks, in the order in which they were
/// added. It is sent as `x-session-affinity`, or under the name that each provider reads
/// ([`destinations`](Self::destinations)).
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
    /// Takes the key from the request's extensions, sends it as `x-session-affinity`, keeps a
    /// caller's header, and allows every host.
    pub const fn new() -> Self {
        Self::from_source(FromExtension)
    }
}

impl<K> SessionAffinityLayer<K> {
    /// Takes the key from this source, and not from the request's extensions.
    ///
    /// It is for a second layer that sends a different id, such as a tenant or a
    /// parent session. [`NoAffinity`](crate::NoAffinity) in the extensions applies to it as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{SessionAffinityLayer, from_fn, header};
    ///
    /// let tenant = SessionAffinityLayer::from_source(from_fn(|req| req.key("x-tenant-id")))
    ///     .header_name(header::X_LLM_D_INFERENCE_FAIRNESS_ID);
    /// ```
    pub const fn from_source(source: K) -> Self {
        Self {
            stamp: Stamp {
                extractor: source,
                settings: Settings::new(),
            },
        }
    }

    /// Asks this source where no earlier one has a key.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{AffinityKey, FromHeaders, SessionAffinityLayer, header};
    ///
    /// let layer = SessionAffinityLayer::new()
    ///     .or(FromHeaders::new([header::X_SESSION_ID]))
    ///     .or(AffinityKey::from_static("anonymous"));
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

    /// Asks this closure where no earlier source has a key.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::SessionAffinityLayer;
    ///
    /// let layer = SessionAffinityLayer::new().or_fn(|req| req.key("x-user-id"));
    /// ```
    pub fn or_fn<F>(self, fallback: F) -> SessionAffinityLayer<Or<K, FromFn<F>>>
    where
        F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
    {
        self.or(from_fn(fallback))
    }

    /// Adopts the session that a caller names in one of these headers, and takes the headers out.
    ///
    /// It is for a gateway, which copies its caller's headers to the request that it sends. The key comes from
    /// the first valid value, as with [`FromHeaders`], where no earlier source has one. Whatever the outcome,
    /// none of these headers is sent on, unless one of them is the very header that carries the key.
    /// [`header::CALLER_SESSIONS`](crate::header::CALLER_SESSIONS) is a list to begin with.
    ///
    /// Under [`MergePolicy::Keep`] a value that the caller sends under the carrying header's own name is kept,
    /// unchecked. `adopt_derived` (feature `hmac`) sends no raw value at all.
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
    /// With [`destinations`](Self::destinations) each row has a name of its own, and this one is not used.
    pub fn header_name(mut self, name: HeaderName) -> Self {
        self.stamp.settings.header_name = Some(name);
        self
    }

    /// Sets what happens when the header is already present.
    pub const fn merge_policy(mut self, policy: MergePolicy) -> Self {
        self.stamp.settings.merge_policy = policy;
        self
    }

    /// Lets the header, a caller's own included, reach these hosts and no others.
    ///
    /// An empty list allows none; of two lists the last one set applies. A request whose URI does not have an
    /// authority goes to no listed host: put the layer inside whatever adds the host.
    ///
    /// # What it promises
    ///
    /// The promise is about what passes through this layer. It does not cover a header that is added below
    /// it (such as reqwest's `default_headers`), nor a forward proxy that plain HTTP goes through, which reads
    /// every header. A `CONNECT` for a tunnel is never given the header, whatever the list.
    ///
    /// On the server side of HTTP/1.1 a request has no authority, so no request passes; over HTTP/2 and with
    /// a URI in absolute form the *caller* chooses the host. Use the list on clients.
    ///
    /// Two layers of one header name with different lists cancel each other, since each takes the header out
    /// for the hosts that it does not list. [`destinations`](Self::destinations) is the way to serve several
    /// providers.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{HostPattern, SessionAffinityLayer};
    ///
    /// let layer = SessionAffinityLayer::new().only_hosts([
    ///     HostPattern::from_static("api.cloudflare.com"),
    ///     HostPattern::from_static("*.fireworks.ai"),
    /// ]);
    /// ```
    pub fn only_hosts(mut self, hosts: impl IntoIterator<Item = HostPattern>) -> Self {
        self.stamp.settings.special_mut().only_hosts = Some(hosts.into_iter().collect());
        self
    }

    /// Sends each provider the header that it reads.
    ///
    /// The first row that matches the request decides: its header carries the key, by the rules of
    /// [`MergePolicy`]. Nothing is sent to a host that is not listed, nor where the row does not name a
    /// header, nor where the value is longer than the row takes. And a name of the table reaches only the
    /// hosts of its rows: every *other* header that the table names is taken out, under both policies.
    ///
    /// With [`only_hosts`](Self::only_hosts) as well, a request must pass both. Of two tables the last one
    /// set applies.
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
    pub fn destinations(mut self, destinations: Destinations) -> Self {
        let special = self.stamp.settings.special_mut();
        let names = destinations.iter().filter_map(|row| row.header_name());
        special.stripped.extend(names.cloned());
        special.destinations = Some(destinations);
        self
    }

    /// Calls this closure once for each request, with what the layer did and the head that is sent.
    ///
    /// It runs on the request's way out, so it should do no more than count. Of two closures the last one
    /// set is called.
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

    /// Says that every request should have a key: [`Outcome::NoKey`] becomes a warning (feature `tracing`).
    pub fn expect_key(mut self) -> Self {
        self.stamp.settings.special_mut().expects_key = true;
        self
    }
}

impl<K: KeyExtractor> SessionAffinityLayer<K> {
    /// Stamps a request in parts, for a client that offers a hook instead of a `Service`.
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

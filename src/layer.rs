//! The layer, and the settings of a stamp.

use http::{Extensions, HeaderMap, HeaderName, Method, Uri};
use tower_layer::Layer;

#[cfg(feature = "hmac")]
use crate::AffinitySecret;
#[cfg(feature = "hmac")]
use crate::derivation::Derivation;
use crate::stamp::{Stamp, StampableParts};
use crate::{
    AffinityKey, FromExtension, FromFn, HostPattern, KeyExtractor, MergePolicy, Or, Outcome,
    RequestHead, SessionAffinity, from_fn,
};

/// Sends at most one session-affinity header with each request.
///
/// The key comes from the request's extensions, else from the fallbacks, in the order in which they
/// were added. One layer serves one header name; stack two layers for two names.
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
        Self {
            stamp: Stamp {
                extractor: FromExtension,
                header_name: None,
                merge_policy: MergePolicy::Keep,
                only_hosts: None,
                derivation: None,
            },
        }
    }
}

impl<K> SessionAffinityLayer<K> {
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
            header_name,
            merge_policy,
            only_hosts,
            derivation,
        } = self.stamp;
        let extractor = Or::new(extractor, fallback);
        SessionAffinityLayer {
            stamp: Stamp {
                extractor,
                header_name,
                merge_policy,
                only_hosts,
                derivation,
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
    /// let layer = SessionAffinityLayer::new()
    ///     .or_fn(|req| req.headers().get("x-user-id")?.try_into().ok());
    /// ```
    pub fn or_fn<F>(self, fallback: F) -> SessionAffinityLayer<Or<K, FromFn<F>>>
    where
        F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
    {
        self.or(from_fn(fallback))
    }

    /// Sends the key under this name instead of `x-session-affinity`.
    ///
    /// A name that the other side does not read fails silently; [`header`](crate::header) says who reads which.
    pub fn header_name(mut self, name: HeaderName) -> Self {
        self.stamp.header_name = Some(name);
        self
    }

    /// Decides what becomes of a header that is already there.
    pub const fn merge_policy(mut self, policy: MergePolicy) -> Self {
        self.stamp.merge_policy = policy;
        self
    }

    /// Lets the header, a caller's own included, reach these hosts and no others.
    ///
    /// An empty list allows none. A request whose URI has no authority goes to no listed host: put
    /// the layer below whatever adds the host.
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
        self.stamp.only_hosts = Some(hosts.into_iter().collect());
        self
    }
}

#[cfg(feature = "hmac")]
impl<K> SessionAffinityLayer<K> {
    /// Sends a key that is derived from the raw value and the host that it goes to.
    ///
    /// A session then has a different key at each provider, and nobody without the secret can link two
    /// of them. At one host the key is stable: the case of its name, one trailing dot and the port do
    /// not count.
    ///
    /// No value leaves as it is. Under [`MergePolicy::Keep`] a caller's header is the raw value,
    /// whatever its bytes. A key that was derived before is no exception: two layers derive twice, and
    /// so does a second [`stamp`](Self::stamp) of the same headers. Under [`MergePolicy::Replace`] a
    /// second stamp begins with the source's key again.
    ///
    /// Put the layer below whatever adds or changes the host, such as redirects: a request whose URI
    /// has no host leaves without the header. Where that cannot be, use
    /// [`derive_for`](Self::derive_for). Of two derivations the last one set applies.
    ///
    /// [`AffinitySecret`](crate::AffinitySecret#format) has the format, byte by byte.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{Extensions, HeaderMap, Method, Uri};
    /// use tower_session_affinity::{AffinityKey, AffinitySecret, SessionAffinityLayer};
    ///
    /// let secret = AffinitySecret::new(&[7; 32])?;
    /// let layer = SessionAffinityLayer::new()
    ///     .or(AffinityKey::from_static("alice@example.com"))
    ///     .derive_per_host(secret);
    ///
    /// let sent_to = |uri| {
    ///     let mut headers = HeaderMap::new();
    ///     layer.stamp(&Method::POST, &Uri::from_static(uri), &mut headers, &Extensions::new());
    ///     headers.remove("x-session-affinity")
    /// };
    /// let at_fireworks = sent_to("https://api.fireworks.ai/inference/v1").expect("a key");
    /// assert_eq!(at_fireworks, "e8a093f6-31cf-8363-afe9-e033cc059377");
    /// assert_ne!(sent_to("https://api.cloudflare.com/client/v4"), Some(at_fireworks));
    /// assert_eq!(sent_to("/inference/v1"), None);
    /// # Ok::<_, tower_session_affinity::InvalidAffinitySecret>(())
    /// ```
    pub fn derive_per_host(mut self, secret: AffinitySecret) -> Self {
        self.stamp.derivation = Some(Derivation::per_host(secret));
        self
    }

    /// Sends a key that is derived from the raw value and this label of the destination.
    ///
    /// It is [`derive_per_host`](Self::derive_per_host) for a stack that adds the host below the layer:
    /// the label says where the requests go, and a request without an authority gets its key too. The
    /// label is taken as it is; a host's name in lower case gives the keys that `derive_per_host` gives
    /// at that host.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{Extensions, HeaderMap, Method, Uri};
    /// use tower_session_affinity::{AffinityKey, AffinitySecret, SessionAffinityLayer};
    ///
    /// let secret = AffinitySecret::new(&[7; 32])?;
    /// let layer = SessionAffinityLayer::new()
    ///     .or(AffinityKey::from_static("alice@example.com"))
    ///     .derive_for(secret, "api.fireworks.ai");
    ///
    /// let mut headers = HeaderMap::new();
    /// let path = Uri::from_static("/inference/v1");
    /// layer.stamp(&Method::POST, &path, &mut headers, &Extensions::new());
    /// assert_eq!(headers["x-session-affinity"], "e8a093f6-31cf-8363-afe9-e033cc059377");
    /// # Ok::<_, tower_session_affinity::InvalidAffinitySecret>(())
    /// ```
    pub fn derive_for(mut self, secret: AffinitySecret, label: &str) -> Self {
        self.stamp.derivation = Some(Derivation::for_label(secret, label));
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

//! The service around a client of reqwest 0.13.

use std::task::{Context, Poll};

use http::{Extensions, HeaderMap, Uri};
use reqwest::{Request, Url};
use tower_service::Service;

use crate::stamp::Stampable;
use crate::{KeyExtractor, RequestHead, SessionAffinity};

/// A request of reqwest, with the URI and the extensions that it does not expose.
pub(crate) struct StampableRequest<'a> {
    pub(crate) request: &'a mut Request,
    uri: Uri,
    extensions: &'a Extensions,
}

impl<'a> StampableRequest<'a> {
    pub(crate) fn new(request: &'a mut Request, extensions: &'a Extensions) -> Self {
        Self {
            uri: to_uri(request.url()),
            request,
            extensions,
        }
    }
}

/// Returns a URI without an authority for a URL without a host, or one that is not a valid URI.
fn to_uri(url: &Url) -> Uri {
    // `Uri` would read `tel:443` as a host and its port.
    let uri = url.has_host().then(|| url.as_str().parse().ok());
    uri.flatten().unwrap_or_default()
}

/// Wraps a [`reqwest::Client`] of reqwest 0.13, or a service around one (feature `reqwest`).
///
/// The feature is for reqwest 0.13 only. It adds reqwest without its default features, so turn on TLS and the
/// rest on your own dependency.
///
/// # Examples
///
/// Build the request with the inner client, and send it with the service. `RequestBuilder::send` would bypass
/// the layer.
///
/// ```
/// use reqwest::Client;
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_session_affinity::{AffinityKey, SessionAffinityLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # let echo = async |headers: http::HeaderMap| format!("{:?}", headers["x-session-affinity"]);
/// # tokio::spawn(axum::serve(listener, axum::Router::new().fallback(echo)).into_future());
/// let layer = SessionAffinityLayer::new().or(AffinityKey::from_static("chat-7"));
/// let client = ServiceBuilder::new().layer(layer).service(Client::new());
///
/// // Not `client.post(…).send()`:
/// let request = client.get_ref().post(url).body("a prompt").build()?;
/// let response = client.oneshot(request).await?;
/// assert_eq!(response.text().await?, r#""chat-7""#);
/// # Ok(())
/// # }
/// ```
///
/// # Limits
///
/// reqwest hides the extensions of its requests, so an [`AffinityKey`](crate::AffinityKey) or a
/// [`NoAffinity`](crate::NoAffinity) in them is not seen. The other sources work: a fixed key, a closure,
/// [`FromHeaders`](crate::FromHeaders), and `FromScope` (feature `scope`).
///
/// A URL without a host, or one that is not a valid [`Uri`], counts as having no authority.
///
/// reqwest follows redirects below this service, and repeats the header of the first request. A client with
/// [`Policy::none`](reqwest::redirect::Policy::none) does not follow redirects.
///
/// # The compiler says E0599
///
/// - ``no method named `post` found for struct `SessionAffinity<S, K>` ``: the service sends requests, but
///   does not build them. Write `client.get_ref().post(…)…build()?`, then `client.oneshot(request)`.
/// - ``the method `oneshot` exists for struct `SessionAffinity<Client>`, but its trait bounds were not
///   satisfied``: the client is of reqwest 0.12, or the feature `reqwest` is off. Use reqwest 0.13, or for 0.12
///   the lines below.
///
/// ```compile_fail,E0599
/// # use tower_session_affinity::SessionAffinityLayer;
/// # use tower::Layer;
/// let client = SessionAffinityLayer::new().layer(reqwest::Client::new());
/// let sent = client.post("https://api.example/v1/chat").send();
/// ```
///
/// reqwest 0.12 uses the methods and headers of the same `http` 1, so the header can be set on a request's
/// parts:
///
/// ```
/// # use http::Extensions;
/// # use reqwest::{Method, Request}; // the same in 0.12
/// # use tower_session_affinity::{AffinityKey, SessionAffinityLayer};
/// # let layer = SessionAffinityLayer::new().or(AffinityKey::from_static("chat-7"));
/// # let mut request = Request::new(Method::POST, "https://api.example/v1/chat".parse()?);
/// let method = request.method().clone();
/// let uri = request.url().as_str().parse()?;
/// layer.stamp(&method, &uri, request.headers_mut(), &Extensions::new());
/// // client.execute(request).await?
/// # assert_eq!(request.headers()["x-session-affinity"], "chat-7");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
impl<S, K> Service<Request> for SessionAffinity<S, K>
where
    S: Service<Request>,
    K: KeyExtractor,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let hidden = Extensions::new();
        let mut stampable = StampableRequest::new(&mut request, &hidden);
        self.stamp.stamp(&mut stampable);
        self.inner.call(request)
    }
}

impl Stampable for StampableRequest<'_> {
    fn head(&self) -> RequestHead<'_> {
        let request = &*self.request;
        RequestHead::new(
            request.method(),
            &self.uri,
            request.headers(),
            self.extensions,
        )
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }
}

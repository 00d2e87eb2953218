//! The service around a `reqwest` client.

use std::task::{Context, Poll};

use http::{Extensions, HeaderMap, Uri};
use reqwest::{Request, Url};
use tower_service::Service;

use crate::stamp::Stampable;
use crate::{KeyExtractor, RequestHead, SessionAffinity};

/// A request of reqwest, with the two things that it does not show.
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

/// Returns a URI without an authority for a URL without a host, or one that is no valid URI.
fn to_uri(url: &Url) -> Uri {
    // To a `Uri`, `tel:443` would be a host and its port.
    let uri = url.has_host().then(|| url.as_str().parse().ok());
    uri.flatten().unwrap_or_default()
}

/// Serves a [`reqwest::Client`], and a service around one.
///
/// reqwest hides the extensions of its requests, so an [`AffinityKey`](crate::AffinityKey) or a
/// [`NoAffinity`](crate::NoAffinity) there is not seen. The other sources work: a fixed key, a closure,
/// [`FromHeaders`](crate::FromHeaders), and `FromScope` (feature `scope`).
///
/// A URL without a host, or one that is no valid [`Uri`], counts as having no authority. reqwest follows
/// redirects below this service, with the header that the first request has; a client with
/// [`Policy::none`](reqwest::redirect::Policy::none) does not.
///
/// # Examples
///
/// ```
/// use reqwest::{Client, Method, Request};
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_session_affinity::{AffinityKey, SessionAffinityLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let url = format!("http://{}/", listener.local_addr()?).parse()?;
/// # let echo = async |headers: http::HeaderMap| format!("{:?}", headers["x-session-affinity"]);
/// # tokio::spawn(axum::serve(listener, axum::Router::new().fallback(echo)).into_future());
/// let layer = SessionAffinityLayer::new().or(AffinityKey::from_static("chat-7"));
/// let client = ServiceBuilder::new().layer(layer).service(Client::new());
///
/// let response = client.oneshot(Request::new(Method::GET, url)).await?;
/// assert_eq!(response.text().await?, r#""chat-7""#);
/// # Ok(())
/// # }
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

//! The gateway: a client with the layer, and a handler that forwards requests.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::uri::{Authority, InvalidUri, Scheme};
use http::{StatusCode, Uri, Version, header::HOST};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::{Layer, Service, ServiceExt};
use tower_session_affinity::{
    FromExtension, FromHeaders, MergePolicy, Or, SessionAffinityLayer, header,
};

type Result<T> = std::result::Result<T, InvalidUri>;

/// The state of the gateway.
#[derive(Clone)]
struct Gateway<C> {
    client: C,
    upstream: Authority,
}

/// Returns a gateway that forwards requests to this upstream.
pub(crate) fn router(upstream: SocketAddr) -> Result<Router> {
    router_over(layer().layer(client()), upstream)
}

/// Adopts the session that an agent already names in a header of its own.
fn layer() -> SessionAffinityLayer<Or<FromExtension, FromHeaders>> {
    SessionAffinityLayer::new()
        .adopt(header::CALLER_SESSIONS)
        // The upstream gets one valid key or none. The caller chose it, so if
        // callers are authenticated, derive the key from tenant and session
        // instead (see SECURITY.md).
        .merge_policy(MergePolicy::Replace)
}

/// Returns a gateway that forwards requests with this client.
pub(crate) fn router_over<C>(client: C, upstream: SocketAddr) -> Result<Router>
where
    C: Service<Request, Response = Response<Incoming>, Future: Send>,
    C: Clone + Send + Sync + 'static,
{
    let upstream = upstream.to_string().parse()?;
    Ok(Router::new()
        .fallback(forward::<C>)
        .with_state(Gateway { client, upstream }))
}

/// Returns a client without the layer.
pub(crate) fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new())
        // Without a timer, idle connections are never closed.
        .pool_timer(TokioTimer::new())
        .build(connector())
}

/// Returns a connector that sends each segment at once.
pub(crate) fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    // Without this option, a request can wait for the acknowledgement of its
    // first segment before the second one is sent: 40 ms on Linux.
    connector.set_nodelay(true);
    connector
}

/// Forwards a request, and streams its body and the body of the response.
///
/// A gateway for any kind of caller also removes the hop-by-hop headers that
/// RFC 9110, section 7.6.1, lists.
async fn forward<C>(state: State<Gateway<C>>, mut request: Request) -> Response
where
    C: Service<Request, Response = Response<Incoming>>,
{
    let State(gateway) = state;
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(gateway.upstream);
    match Uri::from_parts(uri) {
        Ok(uri) => *request.uri_mut() = uri,
        Err(_) => return StatusCode::BAD_REQUEST.into_response(),
    }
    // The client sets `host` from the URI.
    request.headers_mut().remove(HOST);
    // The client speaks HTTP/1.1, and refuses a request marked as HTTP/2.
    *request.version_mut() = Version::HTTP_11;
    match gateway.client.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

//! The gateway: its client, and the handler that sends a request on.

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

/// Returns the gateway before this upstream.
pub(crate) fn router(upstream: SocketAddr) -> Result<Router, InvalidUri> {
    router_over(layer().layer(client()), upstream)
}

/// Adopts the session that an agent already names, and sends it on under one name.
fn layer() -> SessionAffinityLayer<Or<FromExtension, FromHeaders>> {
    SessionAffinityLayer::new()
        .adopt(header::CALLER_SESSIONS)
        // The upstream sees one valid key or none. It is the caller's word, so behind authentication, derive
        // it with the tenant in front (SECURITY.md).
        .merge_policy(MergePolicy::Replace)
}

/// Returns the gateway that sends requests on with this client.
pub(crate) fn router_over<C>(client: C, upstream: SocketAddr) -> Result<Router, InvalidUri>
where
    C: Service<Request, Response = Response<Incoming>, Future: Send>,
    C: Clone + Send + Sync + 'static,
{
    let upstream = upstream.to_string().parse()?;
    Ok(Router::new()
        .fallback(forward::<C>)
        .with_state(Gateway { client, upstream }))
}

#[derive(Clone)]
struct Gateway<C> {
    client: C,
    upstream: Authority,
}

/// Returns the client that sends requests to the upstream.
pub(crate) fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new())
        // Without a timer idle connections stay open.
        .pool_timer(TokioTimer::new())
        .build(connector())
}

/// Returns what connects to the upstream.
pub(crate) fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    // Else the second segment of a request waits for the acknowledgement of the first: 40 ms on Linux.
    connector.set_nodelay(true);
    connector
}

/// Sends the request on with its body still streaming, and the answer back in the same way.
///
/// A gateway for more than one kind of caller also drops the fields of RFC 9110, section 7.6.1, which
/// concern one connection.
async fn forward<C>(State(gateway): State<Gateway<C>>, mut request: Request) -> Response
where
    C: Service<Request, Response = Response<Incoming>>,
{
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(gateway.upstream);
    match Uri::from_parts(uri) {
        Ok(uri) => *request.uri_mut() = uri,
        Err(_) => return StatusCode::BAD_REQUEST.into_response(),
    }
    request.headers_mut().remove(HOST);
    // The client refuses a request that came over HTTP/2, and speaks HTTP/1.1 itself.
    *request.version_mut() = Version::HTTP_11;
    match gateway.client.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

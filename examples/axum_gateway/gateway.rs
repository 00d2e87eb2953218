//! The gateway: its client, and the handler that sends a request on.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::uri::{Authority, InvalidUri, Scheme};
use http::{StatusCode, Uri, Version, header::HOST};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::{Layer, ServiceExt};
use tower_session_affinity::{
    FromExtension, FromHeaders, MergePolicy, Or, SessionAffinity, SessionAffinityLayer, header,
};

/// Returns the gateway before this upstream.
pub(crate) fn router(upstream: SocketAddr) -> Result<Router, InvalidUri> {
    Ok(Router::new()
        .fallback(forward)
        .with_state(Gateway::new(upstream)?))
}

type Upstream = SessionAffinity<Client<HttpConnector, Body>, Or<FromExtension, FromHeaders>>;

#[derive(Clone)]
struct Gateway {
    client: Upstream,
    upstream: Authority,
}

impl Gateway {
    fn new(upstream: SocketAddr) -> Result<Self, InvalidUri> {
        // What agents already send, the most telling first; a value that is no key is passed over.
        let sessions = FromHeaders::new([
            header::X_SESSION_AFFINITY,
            header::X_SESSION_ID,
            header::X_CLAUDE_CODE_SESSION_ID,
            header::SESSION_ID,
        ]);
        // `Replace`: the upstream sees one valid key or none. It is the caller's word, so behind
        // authentication, derive it with the tenant in front (SECURITY.md).
        let layer = SessionAffinityLayer::new()
            .or(sessions)
            .merge_policy(MergePolicy::Replace);
        let client = Client::builder(TokioExecutor::new())
            // Without a timer idle connections stay open.
            .pool_timer(TokioTimer::new())
            .build(connector());
        Ok(Self {
            client: layer.layer(client),
            upstream: upstream.to_string().parse()?,
        })
    }
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
async fn forward(State(gateway): State<Gateway>, mut request: Request) -> Response {
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

//! The gateway: its client, and the handler that sends a request on.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::uri::{Authority, InvalidUri, Scheme};
use http::{StatusCode, Uri, Version, header::HOST};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
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
        // `Replace`: the upstream sees a key of ours or none, whatever a caller sends.
        let layer = SessionAffinityLayer::new()
            .or(sessions)
            .merge_policy(MergePolicy::Replace);
        let client = layer.layer(Client::builder(TokioExecutor::new()).build_http());
        Ok(Self {
            client,
            upstream: upstream.to_string().parse()?,
        })
    }
}

/// Sends the request on with its body still streaming, and the answer back in the same way.
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

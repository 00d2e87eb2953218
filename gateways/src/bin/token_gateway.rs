//! An axum gateway that remembers which replica Envoy chose for each session.
//!
//! `token_gateway LISTEN UPSTREAM`. Each process has its own memory, so with several of them a first hop must
//! send each session to the same one. Its answers name it in `x-gateway`.

use std::env;
use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::{Authority, PathAndQuery};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use gateways::X_GATEWAY;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower::{Layer as _, Service, ServiceExt as _};
use tower_affinity_token::{AffinityTokenLayer, header};
use tower_session_affinity::{FromHeaders, MergePolicy};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut addresses = env::args().skip(1);
    let (Some(listen), Some(upstream), None) =
        (addresses.next(), addresses.next(), addresses.next())
    else {
        return Err("usage: token_gateway LISTEN UPSTREAM".into());
    };
    let (listen, upstream): (SocketAddr, Authority) = (listen.parse()?, upstream.parse()?);
    let name = HeaderValue::try_from(listen.to_string())?;

    // The header that the first hop hashes also names the session here.
    let sessions = FromHeaders::new([tower_session_affinity::header::X_SESSION_AFFINITY]);
    let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
        .or(sessions)
        .merge_policy(MergePolicy::Replace);
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = layer.layer(Client::builder(TokioExecutor::new()).build(connector));

    let gateway = Router::new().fallback(async move |request: Request| {
        let mut response = forward(client, upstream, request).await;
        response.headers_mut().insert(X_GATEWAY, name);
        response
    });
    let listener = TcpListener::bind(listen).await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // Without it, answers only take longer.
    });
    Ok(axum::serve(listener, gateway).await?)
}

/// Forwards the request and returns the answer; both bodies are streamed.
async fn forward<S>(client: S, upstream: Authority, mut request: Request) -> Response
where
    S: Service<Request, Response = http::Response<Incoming>>,
{
    let path = request.uri().path_and_query().cloned();
    let path = path.unwrap_or(PathAndQuery::from_static("/"));
    let uri = Uri::builder().scheme("http").authority(upstream);
    let Ok(uri) = uri.path_and_query(path).build() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    request.headers_mut().remove(HOST);
    match client.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

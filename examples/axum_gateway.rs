//! A gateway that adopts the session its caller already names, and streams both ways.
//!
//! `cargo run --example axum_gateway`

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, StatusCode, Uri, header::HOST};
use http_body_util::{BodyExt, channel::Channel};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};
use tower_session_affinity::{
    FromExtension, FromHeaders, MergePolicy, Or, SessionAffinity, SessionAffinityLayer, header,
};

type Upstream = SessionAffinity<Client<HttpConnector, Body>, Or<FromExtension, FromHeaders>>;

#[derive(Clone)]
struct Gateway {
    client: Upstream,
    upstream: Authority,
}

impl Gateway {
    fn new(upstream: &SocketAddr) -> Result<Self, Box<dyn Error>> {
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
    match gateway.client.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// The inference server: says which affinity lines reached it, and sends each chunk back at once.
async fn complete(headers: HeaderMap, body: Body) -> Response {
    let lines: Vec<_> = headers.get_all(header::X_SESSION_AFFINITY).iter().collect();
    ([("x-arrived", format!("{lines:?}"))], body).into_response()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = serve(Router::new().route("/v1/chat", post(complete))).await?;
    let gateway = Router::new()
        .fallback(forward)
        .with_state(Gateway::new(&upstream)?);
    let gateway = serve(gateway).await?;

    let caller = Client::builder(TokioExecutor::new()).build_http::<Channel<Bytes>>();
    for (headers, expected) in [
        (&[("x-session-id", "s-1")][..], r#"["s-1"]"#),
        (
            &[("x-claude-code-session-id", "c-2"), ("x-session-id", "")],
            r#"["c-2"]"#,
        ),
        (
            &[("x-session-affinity", "a-3"), ("x-session-id", "s-3")],
            r#"["a-3"]"#,
        ),
        (&[("x-session-affinity", "two, keys")], "[]"),
        (&[], "[]"),
    ] {
        let (mut chunks, body) = Channel::new(1);
        let request = Request::post(format!("http://{gateway}/v1/chat"));
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let mut response = caller.request(request.body(body)?).await?;
        let arrived = response.headers()["x-arrived"].to_str()?.to_owned();
        println!("{headers:?} → {arrived}");
        assert_eq!(arrived, expected);

        // Each chunk is back before the next one is sent: nothing on the way waits for the end.
        for chunk in ["the first", "the second"] {
            chunks.send_data(Bytes::from(chunk)).await?;
            let frame = response.frame().await.ok_or("the answer ended early")??;
            assert_eq!(frame.data_ref(), Some(&Bytes::from(chunk)));
        }
    }
    Ok(())
}

async fn serve(router: Router) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

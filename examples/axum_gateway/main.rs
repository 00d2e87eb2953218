//! A gateway that adopts its caller's session and streams in both directions.
//!
//! `cargo run --example axum_gateway`

mod gateway;

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, channel::Channel};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower_session_affinity::header;

/// The headers of a caller, and the values of `x-session-affinity` that arrive.
type Case = (&'static [(&'static str, &'static str)], &'static str);

const CASES: [Case; 5] = [
    (&[("x-session-id", "s-1")], r#"["s-1"]"#),
    // A blank value is skipped.
    (
        &[("x-claude-code-session-id", "c-2"), ("x-session-id", "")],
        r#"["c-2"]"#,
    ),
    // `x-session-affinity` comes first in the list of headers to adopt.
    (
        &[("x-session-affinity", "a-3"), ("x-session-id", "s-3")],
        r#"["a-3"]"#,
    ),
    // A value with a comma is not a valid key.
    (&[("x-session-affinity", "two, keys")], "[]"),
    (&[], "[]"),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = Router::new().route("/v1/chat", post(complete));
    let upstream = serve(upstream).await?;
    let gateway = serve(gateway::router(upstream)?).await?;

    let builder = Client::builder(TokioExecutor::new());
    let caller = builder.build::<_, Channel<Bytes>>(gateway::connector());
    for (headers, expected) in CASES {
        let (mut chunks, body) = Channel::new(1);
        let mut request = Request::post(format!("http://{gateway}/v1/chat"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = caller.request(request.body(body)?).await?;
        let arrived = response.headers()["x-arrived"].to_str()?.to_owned();
        println!("{headers:?} → {arrived}");
        assert_eq!(arrived, expected);

        // Each chunk comes back before the next one is sent, so nothing on the
        // way buffers the whole body.
        for chunk in ["the first", "the second"] {
            chunks.send_data(Bytes::from(chunk)).await?;
            let frame = response.frame().await;
            let frame = frame.ok_or("the response ended early")??;
            assert_eq!(frame.data_ref(), Some(&Bytes::from(chunk)));
        }
    }
    Ok(())
}

/// The upstream: reports which keys arrived, and echoes each chunk at once.
async fn complete(headers: HeaderMap, body: Body) -> Response {
    let keys = headers.get_all(header::X_SESSION_AFFINITY);
    let keys: Vec<_> = keys.iter().collect();
    ([("x-arrived", format!("{keys:?}"))], body).into_response()
}

async fn serve(router: Router) -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // Without this option, a streamed token can wait for the acknowledgement
    // of the previous one.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // If it fails, tokens are only late.
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

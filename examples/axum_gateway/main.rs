//! A gateway that adopts the session its caller already names, and streams both ways.
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

/// The inference server: says which affinity lines reached it, and sends each chunk back at once.
async fn complete(headers: HeaderMap, body: Body) -> Response {
    let lines: Vec<_> = headers.get_all(header::X_SESSION_AFFINITY).iter().collect();
    ([("x-arrived", format!("{lines:?}"))], body).into_response()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = serve(Router::new().route("/v1/chat", post(complete))).await?;
    let address = serve(gateway::router(upstream)?).await?;

    let caller =
        Client::builder(TokioExecutor::new()).build::<_, Channel<Bytes>>(gateway::connector());
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
        let request = Request::post(format!("http://{address}/v1/chat"));
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
    // Else a token of a streamed answer can wait for the acknowledgement of the one before.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // Without it, it only waits longer.
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

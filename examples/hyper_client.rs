//! A hyper client that sends each conversation with its own key.
//!
//! `cargo run --example hyper_client`

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};
use tower_session_affinity::{AffinityKey, NoAffinity, SessionAffinityLayer};

type Answer = Result<Response<Full<Bytes>>, Infallible>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = start_server().await?;

    // Without this option, a request can wait for the acknowledgement of its
    // first segment before the second one is sent: 40 ms on Linux.
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let builder = Client::builder(TokioExecutor::new());
    let client = builder.build::<_, Full<Bytes>>(connector);

    // One layer serves all conversations: each request brings its own key.
    let client = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new())
        .service(client);

    println!("turn  conversation  x-session-affinity at the server");
    for turn in 1..=3 {
        for conversation in ["alpha", "beta", "gamma"] {
            // The key is the same on every turn of a conversation.
            let key: AffinityKey = format!("chat-{conversation}").parse()?;
            let request = Request::post(format!("http://{server}/v1/chat"))
                .extension(key.clone())
                .body(Full::from("the conversation so far"))?;
            let response = client.clone().oneshot(request).await?;

            let received = text(response).await?;
            println!("{turn:<4}  {conversation:<12}  {received}");
            assert_eq!(received, key.as_str());
        }
    }

    // A side call has a different prompt, so the replica of the conversation
    // has nothing cached for it. `NoAffinity` sends it without the key.
    let request = Request::post(format!("http://{server}/v1/title"))
        .extension(AffinityKey::from_static("chat-alpha"))
        .extension(NoAffinity)
        .body(Full::default())?;
    let received = text(client.oneshot(request).await?).await?;
    println!("      alpha (title) {received}");
    assert_eq!(received, "(none)");
    Ok(())
}

async fn text(response: Response<Incoming>) -> Result<String, Box<dyn Error>> {
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.into())?)
}

/// Starts a server on a free port. It answers with the key that it received.
async fn start_server() -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = TokioIo::new(stream);
            let server = http1::Builder::new();
            tokio::spawn(server.serve_connection(stream, service_fn(answer)));
        }
    });
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Answer {
    let values = request.headers().get_all("x-session-affinity").iter();
    let values: Vec<_> = values
        .map(|value| value.to_str().unwrap_or("(not ASCII)"))
        .collect();
    let text = if values.is_empty() {
        "(none)".to_owned()
    } else {
        values.join(" | ")
    };
    Ok(Response::new(Full::from(text)))
}

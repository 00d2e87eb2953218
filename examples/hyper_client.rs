//! A hyper client whose conversations each carry their own key, over real sockets.
//!
//! `cargo run --example hyper_client`

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt};
use tower_session_affinity::{AffinityKey, NoAffinity, SessionAffinityLayer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = start_server().await?;

    // Else the second segment of a request waits for the acknowledgement of the first: 40 ms on Linux.
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);

    // The two lines: one layer around any client, and a key in the extensions of a request.
    let client = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new())
        .service(client);

    println!("turn  conversation  arrived as x-session-affinity");
    for turn in 1..=3 {
        for conversation in ["alpha", "beta", "gamma"] {
            let key: AffinityKey = format!("chat-{conversation}").parse()?;
            let request = Request::post(format!("http://{server}/v1/chat")).extension(key.clone());
            let request = request.body(Full::from("the conversation so far"))?;
            let response = client.clone().oneshot(request).await?;

            let arrived = response.into_body().collect().await?.to_bytes();
            println!(
                "{turn:<4}  {conversation:<12}  {}",
                String::from_utf8_lossy(&arrived)
            );
            assert_eq!(arrived, key.as_str());
        }
    }

    // A side call of a conversation must not share its replica.
    let request = Request::post(format!("http://{server}/v1/title"))
        .extension(AffinityKey::from_static("chat-alpha"))
        .extension(NoAffinity)
        .body(Full::default())?;
    let response = client.oneshot(request).await?;
    let arrived = response.into_body().collect().await?.to_bytes();
    println!("      title of alpha {}", String::from_utf8_lossy(&arrived));
    assert_eq!(arrived, "(no line)");
    Ok(())
}

/// Starts a server on a free port that answers with the affinity lines of the request.
async fn start_server() -> Result<SocketAddr, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(connection);
        }
    });
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let lines = request.headers().get_all("x-session-affinity");
    let lines: Vec<_> = lines
        .iter()
        .map(|line| line.to_str().unwrap_or("(not ASCII)"))
        .collect();
    let text = if lines.is_empty() {
        "(no line)".to_owned()
    } else {
        lines.join(" | ")
    };
    Ok(Response::new(Full::from(text)))
}

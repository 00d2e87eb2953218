//! An upstream server that says who it is, dies and comes back.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderName, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::capture::{Captured, LineCounts};

/// The response header with which a replica says who it is.
pub const REPLICA: HeaderName = HeaderName::from_static("x-replica");

/// The response header with which one of several gateways says who it is.
pub const X_GATEWAY: HeaderName = HeaderName::from_static("x-gateway");

/// A server with the endpoints that a router for language models asks of a worker.
///
/// Each answer carries its address in [`REPLICA`].
#[derive(Debug)]
pub struct Replica {
    /// Where it listens.
    pub address: SocketAddr,
    /// The requests that reached it.
    pub received: LineCounts,
    hold: Hold,
    server: Server,
}

/// Keeps the answers of several replicas back until so many requests have reached them together.
#[derive(Clone, Debug, Default)]
pub struct Hold(watch::Sender<Held>);

#[derive(Debug, Default)]
struct Held {
    arrived: usize,
    needed: usize,
}

/// Ends when it is dropped.
#[derive(Debug)]
struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Replica {
    /// Starts a replica on a free port; `name` is the header whose lines it counts, and `hold` keeps
    /// its answers back.
    ///
    /// # Errors
    ///
    /// If no port of loopback can be bound.
    pub async fn start(name: HeaderName, hold: Hold) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let received = LineCounts::new(name);
        let server = Server::start(listener, received.clone(), hold.clone());
        Ok(Self {
            address,
            received,
            hold,
            server,
        })
    }

    /// Closes the port and every connection, as the end of a process does.
    ///
    /// # Errors
    ///
    /// If the server had panicked.
    pub async fn kill(&mut self) -> io::Result<()> {
        // Its receiver hears of a sender that is gone.
        self.server.stop = oneshot::channel().0;
        Ok((&mut self.server.task).await?)
    }

    /// Listens again, at the same address.
    ///
    /// # Errors
    ///
    /// If the port is taken.
    pub async fn restart(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.server = Server::start(listener, self.received.clone(), self.hold.clone());
        Ok(())
    }
}

impl Hold {
    /// Answers chats from now on only when so many more have arrived.
    pub fn until(&self, needed: usize) {
        self.0.send_replace(Held { arrived: 0, needed });
    }

    /// Waits until so many have arrived.
    ///
    /// # Panics
    ///
    /// Never: the channel is there as long as this is.
    pub async fn arrival(&self, requests: usize) {
        let mut held = self.0.subscribe();
        let arrived = held.wait_for(|held| held.arrived >= requests).await;
        drop(arrived.expect("the sender is borrowed"));
    }

    async fn answer(&self) {
        let mut held = self.0.subscribe();
        self.0.send_modify(|held| held.arrived += 1);
        let all = held.wait_for(|held| held.arrived >= held.needed).await;
        drop(all.expect("the sender is borrowed"));
    }
}

impl Server {
    fn start(listener: TcpListener, received: LineCounts, hold: Hold) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            tokio::select! {
                _ = stopped => {}
                () = serve(&listener, &received, &hold, &mut connections) => {}
            }
            drop(listener);
            connections.shutdown().await;
        });
        Self { stop, task }
    }
}

async fn serve(
    listener: &TcpListener,
    received: &LineCounts,
    hold: &Hold,
    connections: &mut JoinSet<hyper::Result<()>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (Ok(()), Ok(address)) = (stream.set_nodelay(true), stream.local_addr()) else {
            continue;
        };
        let stream = TokioIo::new(Captured::new(stream, received.clone()));
        let hold = hold.clone();
        let answer = service_fn(move |request| answer(address, hold.clone(), request));
        connections.spawn(http1::Builder::new().serve_connection(stream, answer));
    }
}

async fn answer(
    address: SocketAddr,
    hold: Hold,
    request: Request<Incoming>,
) -> http::Result<Response<Full<Bytes>>> {
    let path = request.uri().path().to_owned();
    // A broken upload is the sender's to notice.
    let _ = request.into_body().collect().await;
    let (status, body) = match path.as_str() {
        "/v1/chat/completions" => {
            hold.answer().await;
            (200, COMPLETION)
        }
        "/v1/models" => (200, MODELS),
        "/health" => (200, "{}"),
        _ => (404, "{}"),
    };
    Response::builder()
        .status(status)
        .header(REPLICA, address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body))
}

const COMPLETION: &str = r#"{
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
}"#;

const MODELS: &str = r#"{
    "object": "list",
    "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "loopback"}]
}"#;

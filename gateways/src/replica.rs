//! An upstream server that names itself in its answers, and that can be killed and restarted.

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

/// The response header in which a replica sends its address.
pub const REPLICA: HeaderName = HeaderName::from_static("x-replica");

/// The response header in which one of several gateways sends its address.
pub const X_GATEWAY: HeaderName = HeaderName::from_static("x-gateway");

/// A server with the endpoints that an LLM router requests from its workers.
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

/// Holds the answers of all replicas back until a number of requests has reached them in total.
#[derive(Clone, Debug, Default)]
pub struct Hold(watch::Sender<Held>);

#[derive(Debug, Default)]
struct Held {
    arrived: usize,
    needed: usize,
}

/// A running server, which stops when this is dropped.
#[derive(Debug)]
struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Replica {
    /// Starts a replica on a free port. It counts the lines of the header `name`, and `hold` holds its answers
    /// back.
    ///
    /// # Errors
    ///
    /// Returns an error if no port on loopback can be bound.
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

    /// Closes the port and every connection, as when a process ends.
    ///
    /// # Errors
    ///
    /// Returns an error if the server had panicked.
    pub async fn kill(&mut self) -> io::Result<()> {
        // Dropping the old sender wakes its receiver.
        self.server.stop = oneshot::channel().0;
        Ok((&mut self.server.task).await?)
    }

    /// Listens again on the same address.
    ///
    /// # Errors
    ///
    /// Returns an error if the port is taken.
    pub async fn restart(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.server = Server::start(listener, self.received.clone(), self.hold.clone());
        Ok(())
    }
}

impl Hold {
    /// Holds answers to chats back until this many more chats have arrived.
    pub fn until(&self, needed: usize) {
        self.0.send_replace(Held { arrived: 0, needed });
    }

    /// Waits until this many chats have arrived.
    ///
    /// # Panics
    ///
    /// Never: the channel lives as long as `self`.
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
    // If the upload fails, the sender notices.
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

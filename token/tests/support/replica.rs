//! A replica on a free loopback port, which ends together with its connections.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::Request;
use http::response::Builder;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// A server that runs until it is dropped.
pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Replica {
    /// Starts a server that responds with what the closure makes of its address and the request.
    pub(crate) async fn start<F>(answer: F) -> Self
    where
        F: Fn(SocketAddr, Request<Incoming>) -> Builder + Clone + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            // Dropped together with this task, it closes the connections.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                let service = service_fn(move |request| {
                    let response = answer(address, request).body(Full::<Bytes>::default());
                    async { Ok::<_, Infallible>(response.unwrap()) }
                });
                connections
                    .spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, task }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

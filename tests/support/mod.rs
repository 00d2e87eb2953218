//! A server on a free loopback port that answers with the header lines it received.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Serves HTTP/1.1 and HTTP/2 until it is dropped.
pub(crate) struct Capture {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Capture {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(echo_headers);
                    auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await
                });
            }
        });
        Self { address, task }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers with one line, `name: value`, for each header line, in order.
async fn echo_headers(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut lines = Vec::new();
    for (name, value) in request.headers() {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.push(b'\n');
    }
    let version = format!("{:?}", request.version());
    Ok(Response::builder()
        .header("x-version", version)
        .body(Full::from(lines))
        .unwrap())
}

//! A caller's connection to the gateway.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header::HOST};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::outcome::Outcome;
use crate::plan::Protocol;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Closes at once when it is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: Sender,
    task: JoinHandle<()>,
}

/// Sends requests over a connection; over HTTP/1.1, one at a time.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) gateway: SocketAddr,
    inner: Inner,
}

#[derive(Clone, Debug)]
enum Inner {
    Http1(Arc<Mutex<http1::SendRequest<Body>>>),
    Http2(http2::SendRequest<Body>),
}

impl Connection {
    pub(crate) async fn open(
        gateway: SocketAddr,
        protocol: Protocol,
    ) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(gateway).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        // The connection's error is dropped: each request on it reports one.
        let (inner, task) = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                let task = tokio::spawn(async { drop(connection.await) });
                (Inner::Http1(Arc::new(Mutex::new(sender))), task)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                let task = tokio::spawn(async { drop(connection.await) });
                (Inner::Http2(sender), task)
            }
        };
        let sender = Sender { gateway, inner };
        Ok(Self { sender, task })
    }

    /// Whether the connection can be used again after requests with these outcomes.
    pub(crate) async fn is_reusable_after(&mut self, outcomes: &[Outcome]) -> bool {
        match &self.sender.inner {
            // After any other outcome a body may be in transit: closing the connection stops it.
            Inner::Http1(sender) => {
                outcomes.iter().all(|outcome| *outcome == Outcome::Answered)
                    && poll_fn(|cx| lock(sender).poll_ready(cx)).await.is_ok()
            }
            Inner::Http2(sender) => !sender.is_closed(),
        }
    }
}

impl Sender {
    pub(crate) async fn send(
        &mut self,
        mut request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        match &mut self.inner {
            Inner::Http1(sender) => {
                let host = HeaderValue::try_from(self.gateway.to_string()).expect("ASCII");
                request.headers_mut().insert(HOST, host);
                let response = lock(sender).send_request(request);
                response.await
            }
            Inner::Http2(sender) => {
                let uri = format!("http://{}{}", self.gateway, request.uri());
                *request.uri_mut() = Uri::try_from(uri).expect("an address and a path");
                sender.send_request(request).await
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

//! A server on a free port that records the header lines of every request.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::middleware::map_request;
use axum::response::IntoResponse;
use axum::serve::ListenerExt;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, StatusCode, Version};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_session_affinity::header::X_SESSION_AFFINITY;

/// A running server; it ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    arrivals: Arrivals,
    task: JoinHandle<()>,
}

type Arrivals = Arc<Mutex<Vec<Arrival>>>;

/// A request's head as it came off the socket.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

impl Server {
    /// Answers everything with 200 and no body.
    pub(crate) async fn start() -> Self {
        Self::with(Router::new().fallback(|| async {})).await
    }

    /// Answers as this router does.
    pub(crate) async fn with(router: Router) -> Self {
        let arrivals = Arrivals::default();
        let record = {
            let arrivals = Arc::clone(&arrivals);
            move |request: Request| {
                let arrival = Arrival::from(&request);
                arrivals
                    .lock()
                    .expect("no panic while it is locked")
                    .push(arrival);
                async { request }
            }
        };
        let (address, task) = serve_http(router.layer(map_request(record))).await;
        Self {
            address,
            arrivals,
            task,
        }
    }

    /// Answers 503 twice, and then with this.
    pub(crate) async fn unavailable_then(
        answer: impl IntoResponse + Clone + Sync + Send + 'static,
    ) -> Self {
        let seen = Arc::new(AtomicUsize::new(0));
        let answer = async move || match seen.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "0")]).into_response(),
            _ => answer.clone().into_response(),
        };
        Self::with(Router::new().fallback(answer)).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns what arrived, in order.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals
            .lock()
            .expect("no panic while it is locked")
            .clone()
    }

    /// Returns the `x-session-affinity` lines of each request that arrived, in order.
    pub(crate) fn lines(&self) -> Vec<Vec<String>> {
        self.lines_of(&X_SESSION_AFFINITY)
    }

    pub(crate) fn lines_of(&self, name: &HeaderName) -> Vec<Vec<String>> {
        let arrivals = self.arrivals();
        arrivals.iter().map(|arrival| arrival.lines(name)).collect()
    }
}

impl Arrival {
    /// Returns the value of each line with this name.
    pub(crate) fn lines(&self, name: &HeaderName) -> Vec<String> {
        let values = self.headers.get_all(name).iter();
        values
            .map(|value| value.to_str().expect("an ASCII value").to_owned())
            .collect()
    }
}

/// Serves a router, over HTTP/1.1 and HTTP/2, on a free port.
async fn serve_http(router: Router) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // On an error it is only slower.
    });
    let server = axum::serve(listener, router);
    (
        address,
        tokio::spawn(ignore_errors(async move { server.await })),
    )
}

async fn ignore_errors<T, E>(future: impl Future<Output = Result<T, E>>) {
    // If a server has stopped, its client reports an error.
    let _ = future.await;
}

impl<B> From<&http::Request<B>> for Arrival {
    fn from(request: &http::Request<B>) -> Self {
        Self {
            path: request.uri().path().to_owned(),
            version: request.version(),
            headers: request.headers().clone(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

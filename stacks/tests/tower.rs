//! tower's own middleware, above the layer and below it.
//!
//! Retries and hedges with every other source of keys are in the crate's own tests (`tests/redirect`).

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Redirect;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::sync::{Barrier, Notify};
use tower::hedge::{self, Hedge};
use tower::load_shed::error::Overloaded;
use tower::retry;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_session_affinity::{FromScope, HostPattern, SessionAffinityLayer};

use crate::support::{Server, connector, key, or_hung};

type HyperClient = Client<HttpConnector, Full<Bytes>>;

/// The wiring: redirects above the layer, retries on either side, a buffer below.
fn client(host: HostPattern) -> impl Service<Request<Full<Bytes>>, Error: Debug> {
    ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .retry(Unavailable { attempts: 3 })
        .layer(SessionAffinityLayer::new().or(FromScope).only_hosts([host]))
        .buffer(8)
        .service(plain())
}

fn plain() -> HyperClient {
    Client::builder(TokioExecutor::new()).build(connector())
}

fn request(server: &Server) -> Request<Full<Bytes>> {
    let mut request = without_key(server);
    request.extensions_mut().insert(key("chat-7"));
    request
}

fn without_key(server: &Server) -> Request<Full<Bytes>> {
    let request = Request::post(server.url("/"));
    request.body(Full::from("a prompt")).unwrap()
}

/// Tries again while the answer is 503.
#[derive(Clone)]
struct Unavailable {
    attempts: usize,
}

impl<B, E> retry::Policy<Request<Full<Bytes>>, Response<B>, E> for Unavailable {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Full<Bytes>>,
        result: &mut Result<Response<B>, E>,
    ) -> Option<Self::Future> {
        self.attempts -= 1;
        let unavailable = matches!(result, Ok(r) if r.status() == StatusCode::SERVICE_UNAVAILABLE);
        (unavailable && self.attempts > 0).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}

/// Sends a second attempt of every request.
#[derive(Clone)]
struct Always;

impl hedge::Policy<Request<Full<Bytes>>> for Always {
    fn clone_request(&self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }

    fn can_retry(&self, _: &Request<Full<Bytes>>) -> bool {
        true
    }
}

/// Hedges as soon as a request takes longer than a millisecond.
fn hedge<S>(service: S) -> Hedge<S, Always>
where
    S: Service<Request<Full<Bytes>>, Error: Into<BoxError>> + Clone,
{
    Hedge::new_with_mock_latencies(service, Always, 1, 0.5, Duration::from_mins(1), &[1, 1])
}

/// Starts a server that answers no request before two have arrived.
async fn start_pairwise() -> Server {
    let both = Arc::new(Barrier::new(2));
    let answer = async move || {
        both.wait().await;
    };
    Server::with(Router::new().fallback(answer)).await
}

/// Asserts that this client sends one request, with the key.
async fn assert_one_line<S>(client: S)
where
    S: Service<Request<Full<Bytes>>, Error: Debug>,
{
    let server = Server::start().await;
    client.oneshot(request(&server)).await.unwrap();
    assert_eq!(server.lines(), [["chat-7"]]);
}

#[tokio::test]
async fn the_whole_stack_takes_the_key_of_the_scope_to_its_host_and_no_further() {
    let theirs = Server::start().await;
    let ours = Server::unavailable_then(Redirect::temporary(&theirs.url("/"))).await;
    let client = client(ours.authority().parse().unwrap());
    let request = Request::get(ours.url("/")).body(Full::default()).unwrap();
    key("chat-7").scope(client.oneshot(request)).await.unwrap();
    assert_eq!(ours.lines(), [["chat-7"], ["chat-7"], ["chat-7"]]);
    assert_eq!(theirs.lines(), [Vec::<String>::new()]);
}

#[tokio::test]
async fn a_key_in_the_extensions_crosses_a_buffer() {
    let layer = SessionAffinityLayer::new();
    assert_one_line(
        ServiceBuilder::new()
            .buffer(1)
            .layer(layer.clone())
            .service(plain()),
    )
    .await;
    assert_one_line(
        ServiceBuilder::new()
            .layer(layer)
            .buffer(1)
            .service(plain()),
    )
    .await;
}

/// The buffer's worker calls the service below it, in its own task.
#[tokio::test]
async fn a_key_of_the_scope_reaches_a_layer_above_a_buffer_and_not_one_below() {
    let layer = SessionAffinityLayer::new().or(FromScope);
    let above = ServiceBuilder::new()
        .layer(layer.clone())
        .buffer(1)
        .service(plain());
    let below = ServiceBuilder::new()
        .buffer(1)
        .layer(layer)
        .service(plain());

    let server = Server::start().await;
    key("chat-7")
        .scope(above.oneshot(without_key(&server)))
        .await
        .unwrap();
    key("chat-7")
        .scope(below.oneshot(without_key(&server)))
        .await
        .unwrap();
    assert_eq!(server.lines(), [vec!["chat-7"], vec![]]);
}

#[tokio::test]
async fn every_retry_and_hedge_stays_in_the_scope() {
    let layer = SessionAffinityLayer::new().or(FromScope);

    let server = Server::unavailable_then(StatusCode::OK).await;
    let client = ServiceBuilder::new().retry(Unavailable { attempts: 3 });
    let client = client.layer(layer.clone()).service(plain());
    key("chat-7")
        .scope(client.oneshot(without_key(&server)))
        .await
        .unwrap();
    assert_eq!(server.lines(), [["chat-7"], ["chat-7"], ["chat-7"]]);

    let server = start_pairwise().await;
    let client = hedge(layer.layer(plain())).oneshot(without_key(&server));
    or_hung("the hedge", key("chat-7").scope(client))
        .await
        .unwrap();
    assert_eq!(server.lines(), [["chat-7"], ["chat-7"]]);
}

#[tokio::test]
async fn load_is_shed_above_the_layer_and_below_it() {
    let layer = SessionAffinityLayer::new();
    let below = ServiceBuilder::new().load_shed().layer(layer.clone());
    assert_one_line(below.service(plain())).await;
    let above = ServiceBuilder::new().layer(layer.clone()).load_shed();
    assert_one_line(above.service(plain())).await;

    // The layer passes readiness on, so `load_shed` sees through it that the client is full.
    let full = ServiceBuilder::new()
        .load_shed()
        .layer(layer)
        .concurrency_limit(1);
    assert_sheds_the_second_request(full.service(plain())).await;
}

async fn assert_sheds_the_second_request<S, B>(client: S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = BoxError> + Clone,
    S::Future: Send + 'static,
    B: Send + 'static,
    S: Send + 'static,
{
    let (arrived, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let wait = {
        let (arrived, answer) = (Arc::clone(&arrived), Arc::clone(&answer));
        async move || {
            arrived.notify_one();
            answer.notified().await;
        }
    };
    let server = Server::with(Router::new().fallback(wait)).await;
    let first = tokio::spawn(client.clone().oneshot(request(&server)));
    or_hung("the first request", arrived.notified()).await;

    let Err(error) = client.oneshot(request(&server)).await else {
        panic!("the second request was not shed")
    };
    assert!(error.is::<Overloaded>());

    answer.notify_one();
    assert!(first.await.unwrap().is_ok());
    assert_eq!(server.lines(), [["chat-7"]]);
}

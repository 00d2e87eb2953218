//! Retries and hedges that copy the request themselves: whether later attempts keep the key.
//!
//! `Retry` and `Hedge` ask the application's policy for a copy of the request. A copy without the extensions
//! loses a key in them, unless a layer outside the retry has already set the header.

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tower::hedge::{self, Hedge};
use tower::retry::{self, RetryLayer};
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_session_affinity::{
    AffinityKey, HostPattern, KeyExtractor, NoAffinity, SessionAffinityLayer,
};

type Body = Full<Bytes>;
type HyperClient = Client<HttpConnector, Body>;

const ATTEMPTS: usize = 3;

/// How a policy copies a request.
#[derive(Clone, Copy, Debug)]
enum Copying {
    /// `Request::clone`.
    Whole,
    /// Method, URI, headers and body, as in code from before extensions were `Clone`.
    WithoutExtensions,
    /// The same, plus the extensions.
    WithExtensions,
}

/// Retries while the answer is 503, at `elsewhere` if it is set.
#[derive(Clone)]
struct Policy {
    copying: Copying,
    elsewhere: Option<Uri>,
    left: usize,
}

/// The header value of each attempt, in order.
#[derive(Clone, Default)]
struct Arrived(Arc<Mutex<Vec<Option<String>>>>);

impl Copying {
    fn copy(self, request: &Request<Body>) -> Request<Body> {
        if let Self::Whole = self {
            return request.clone();
        }
        let mut copy = Request::new(request.body().clone());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        if let Self::WithExtensions = self {
            *copy.extensions_mut() = request.extensions().clone();
        }
        copy
    }
}

impl<B, E> retry::Policy<Request<Body>, Response<B>, E> for Policy {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        next: &mut Request<Body>,
        result: &mut Result<Response<B>, E>,
    ) -> Option<Self::Future> {
        self.left -= 1;
        if let Some(elsewhere) = &self.elsewhere {
            *next.uri_mut() = elsewhere.clone();
        }
        let unavailable = matches!(result, Ok(r) if r.status() == StatusCode::SERVICE_UNAVAILABLE);
        (unavailable && self.left > 0).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(self.copying.copy(request))
    }
}

impl hedge::Policy<Request<Body>> for Copying {
    fn clone_request(&self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(self.copy(request))
    }

    fn can_retry(&self, _: &Request<Body>) -> bool {
        true
    }
}

impl Arrived {
    fn add(&self, headers: &HeaderMap) {
        let mut values = headers.get_all("x-session-affinity").iter();
        let value = values
            .next()
            .map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(values.next(), None, "expected at most one value");
        self.0.lock().unwrap().push(value);
    }

    fn take(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

async fn serve(servers: &mut JoinSet<()>, app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    servers.spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Starts a server that answers every request with 503.
async fn unavailable(servers: &mut JoinSet<()>, arrived: Arrived) -> SocketAddr {
    let answer = move |headers: HeaderMap| {
        arrived.add(&headers);
        ready(StatusCode::SERVICE_UNAVAILABLE)
    };
    serve(servers, Router::new().fallback(answer)).await
}

fn client() -> HyperClient {
    Client::builder(TokioExecutor::new()).build_http()
}

fn retries(copying: Copying) -> RetryLayer<Policy> {
    RetryLayer::new(Policy {
        copying,
        elsewhere: None,
        left: ATTEMPTS,
    })
}

fn layer() -> SessionAffinityLayer<impl KeyExtractor + Clone> {
    SessionAffinityLayer::new().or(AffinityKey::from_static("fallback"))
}

fn to(address: SocketAddr) -> Request<Body> {
    let request = Request::post(format!("http://{address}/"));
    request.body(Full::from("a prompt")).unwrap()
}

fn with<T: Clone + Send + Sync + 'static>(
    mut request: Request<Body>,
    extension: T,
) -> Request<Body> {
    request.extensions_mut().insert(extension);
    request
}

const KEY: AffinityKey = AffinityKey::from_static("chat-7");

/// Returns the value of each attempt, with the layer outside the retry and with the layer inside.
async fn attempts(
    copying: Copying,
    request: impl Fn(SocketAddr) -> Request<Body>,
) -> [Vec<Option<String>>; 2] {
    let mut servers = JoinSet::new();
    let arrived = Arrived::default();
    let address = unavailable(&mut servers, arrived.clone()).await;

    let outside = layer().layer(retries(copying).layer(client()));
    outside.oneshot(request(address)).await.unwrap();
    let outside = arrived.take();
    let inside = retries(copying).layer(layer().layer(client()));
    inside.oneshot(request(address)).await.unwrap();
    [outside, arrived.take()]
}

fn values<const COUNT: usize>(values: [&str; COUNT]) -> Vec<Option<String>> {
    let values = values.map(|value| (value != "-").then(|| value.to_owned()));
    values.into()
}

#[tokio::test]
async fn a_retry_that_copies_the_extensions_works_with_the_layer_outside_or_inside() {
    for copying in [Copying::Whole, Copying::WithExtensions] {
        let same = values(["chat-7"; ATTEMPTS]);
        assert_eq!(
            attempts(copying, |address| with(to(address), KEY)).await,
            [same.clone(), same],
            "{copying:?}"
        );
        let none = values(["-"; ATTEMPTS]);
        assert_eq!(
            attempts(copying, |address| with(to(address), NoAffinity)).await,
            [none.clone(), none],
            "{copying:?}"
        );
    }
}

#[tokio::test]
async fn a_retry_that_drops_the_extensions_needs_the_layer_outside() {
    let [outside, inside] =
        attempts(Copying::WithoutExtensions, |address| with(to(address), KEY)).await;
    assert_eq!(outside, values(["chat-7"; ATTEMPTS]));
    assert_eq!(inside, values(["chat-7", "fallback", "fallback"]));

    let marked = |address| with(to(address), NoAffinity);
    let [outside, inside] = attempts(Copying::WithoutExtensions, marked).await;
    assert_eq!(outside, values(["-"; ATTEMPTS]));
    assert_eq!(inside, values(["-", "fallback", "fallback"]));
}

#[tokio::test]
async fn a_callers_header_survives_every_copy() {
    for copying in [Copying::Whole, Copying::WithoutExtensions] {
        let request = |address| {
            let mut request = to(address);
            let name = "x-session-affinity";
            request
                .headers_mut()
                .insert(name, "theirs".parse().unwrap());
            request
        };
        let theirs = values(["theirs"; ATTEMPTS]);
        assert_eq!(attempts(copying, request).await, [theirs.clone(), theirs]);
    }
}

#[cfg(feature = "scope")]
#[tokio::test]
async fn the_key_of_the_scope_needs_no_extensions() {
    let mut servers = JoinSet::new();
    let arrived = Arrived::default();
    let address = unavailable(&mut servers, arrived.clone()).await;
    let layer = SessionAffinityLayer::new().or(tower_session_affinity::FromScope);
    let client = retries(Copying::WithoutExtensions).layer(layer.layer(client()));
    KEY.scope(client.oneshot(to(address))).await.unwrap();
    assert_eq!(arrived.take(), values(["chat-7"; ATTEMPTS]));
}

#[tokio::test]
async fn a_retry_that_goes_to_a_different_host_needs_the_layer_inside() {
    let mut servers = JoinSet::new();
    let (here, elsewhere) = (Arrived::default(), Arrived::default());
    let address = unavailable(&mut servers, here.clone()).await;
    let other = unavailable(&mut servers, elsewhere.clone()).await;
    let listed = HostPattern::try_from(address.to_string()).unwrap();
    let layer = SessionAffinityLayer::new().only_hosts([listed]);
    let retries = RetryLayer::new(Policy {
        copying: Copying::Whole,
        elsewhere: Some(format!("http://{other}/").parse().unwrap()),
        left: ATTEMPTS,
    });

    let outside = layer.clone().layer(retries.layer(client()));
    outside.oneshot(with(to(address), KEY)).await.unwrap();
    assert_eq!(here.take(), values(["chat-7"]));
    assert_eq!(
        elsewhere.take(),
        values(["chat-7", "chat-7"]),
        "expected the unlisted host to get the key if the layer is outside"
    );

    let inside = retries.layer(layer.layer(client()));
    inside.oneshot(with(to(address), KEY)).await.unwrap();
    assert_eq!(here.take(), values(["chat-7"]));
    assert_eq!(elsewhere.take(), values(["-", "-"]));
}

/// Hedges at once. The bounds are stated here to keep compiler errors readable.
fn hedged<S>(service: S, copying: Copying) -> Hedge<S, Copying>
where
    S: Service<Request<Body>, Error: Into<BoxError>> + Clone,
{
    Hedge::new_with_mock_latencies(service, copying, 1, 0.5, Duration::from_secs(60), &[1, 1])
}

#[tokio::test]
async fn a_hedge_that_drops_the_extensions_needs_the_layer_outside() {
    let mut servers = JoinSet::new();
    let arrived = Arrived::default();
    let (both, seen) = (Arc::new(Barrier::new(2)), arrived.clone());
    // Answers neither attempt before both have arrived.
    let answer = async move |headers: HeaderMap| {
        seen.add(&headers);
        both.wait().await;
    };
    let address = serve(&mut servers, Router::new().fallback(answer)).await;
    let request = || with(to(address), KEY);

    let outside = layer().layer(hedged(client(), Copying::WithoutExtensions));
    outside.oneshot(request()).await.unwrap();
    assert_eq!(arrived.take(), values(["chat-7", "chat-7"]));

    let inside = hedged(layer().layer(client()), Copying::WithoutExtensions);
    inside.oneshot(request()).await.unwrap();
    let mut arrived = arrived.take();
    arrived.sort();
    assert_eq!(arrived, values(["chat-7", "fallback"]));
}

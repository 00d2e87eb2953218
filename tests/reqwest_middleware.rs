//! The layer as a middleware of `reqwest-middleware`.
#![cfg(feature = "reqwest-middleware")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use reqwest_middleware::reqwest::{Client, Request, Response};
use reqwest_middleware::{
    ClientBuilder, ClientWithMiddleware, Extension, Middleware, Next, Result,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};
use tower_session_affinity::{
    AffinityKey, HostPattern, KeyExtractor, MergePolicy, NoAffinity, SessionAffinityLayer,
};

const OURS: AffinityKey = AffinityKey::from_static("ours");

/// A server that reports which values of the affinity header arrive. It stops when it is dropped.
struct Upstream {
    url: String,
    arrived: mpsc::UnboundedReceiver<Vec<HeaderValue>>,
    _server: JoinSet<()>,
}

impl Upstream {
    /// Starts a server that answers its first `failures` requests with 503.
    async fn failing(failures: usize) -> Self {
        let (report, arrived) = mpsc::unbounded_channel();
        let failures = Arc::new(AtomicUsize::new(failures));
        let answer = async move |headers: HeaderMap| {
            let values = headers.get_all("x-session-affinity");
            report.send(values.iter().cloned().collect()).unwrap();
            let fails = failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
            fails.map_or(StatusCode::OK, |_| StatusCode::SERVICE_UNAVAILABLE)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            url,
            arrived,
            _server: server,
        }
    }

    async fn start() -> Self {
        Self::failing(0).await
    }

    async fn arrived(&mut self) -> Vec<HeaderValue> {
        self.arrived.recv().await.unwrap()
    }
}

/// A client that ignores proxies in the environment.
fn builder() -> ClientBuilder {
    ClientBuilder::new(Client::builder().no_proxy().build().unwrap())
}

fn client<K>(layer: SessionAffinityLayer<K>) -> ClientWithMiddleware
where
    K: KeyExtractor + Send + Sync + 'static,
{
    builder().with(layer).build()
}

#[tokio::test]
async fn a_key_given_with_the_request_arrives() {
    let mut upstream = Upstream::start().await;
    let client = client(SessionAffinityLayer::new());

    let request = client.get(&upstream.url).with_extension(OURS);
    request.send().await.unwrap();
    assert_eq!(upstream.arrived().await, ["ours"]);

    client.get(&upstream.url).send().await.unwrap();
    assert!(upstream.arrived().await.is_empty());
}

#[tokio::test]
async fn a_key_of_the_request_overrides_one_of_the_client() {
    let mut upstream = Upstream::start().await;
    let client = builder()
        .with_init(Extension(AffinityKey::from_static("of-the-client")))
        .with(SessionAffinityLayer::new())
        .build();

    client.get(&upstream.url).send().await.unwrap();
    assert_eq!(upstream.arrived().await, ["of-the-client"]);

    let request = client.get(&upstream.url).with_extension(OURS);
    request.send().await.unwrap();
    assert_eq!(upstream.arrived().await, ["ours"]);
}

#[tokio::test]
async fn a_closure_sees_the_request_and_its_extensions() {
    #[derive(Clone)]
    struct Chat(&'static str);

    let mut upstream = Upstream::start().await;
    let client = client(SessionAffinityLayer::new().or_fn(|req| {
        let Chat(chat) = req.extensions().get()?;
        format!("{}-{chat}", req.uri().query()?).parse().ok()
    }));
    let request = client.get(format!("{}?tenant", upstream.url));
    request.with_extension(Chat("7")).send().await.unwrap();
    assert_eq!(upstream.arrived().await, ["tenant-7"]);
}

#[cfg(feature = "scope")]
#[tokio::test]
async fn the_scope_is_a_source_of_keys() {
    use tower_session_affinity::FromScope;

    let mut upstream = Upstream::start().await;
    let client = client(SessionAffinityLayer::new().or(FromScope));
    OURS.scope(client.get(&upstream.url).send()).await.unwrap();
    assert_eq!(upstream.arrived().await, ["ours"]);
}

/// The policy, our key, whether the request has `NoAffinity`, the only listed host, the caller's values,
/// and those that arrive.
type Row = (
    MergePolicy,
    Option<AffinityKey>,
    bool,
    Option<&'static str>,
    &'static [&'static str],
    &'static [&'static str],
);

#[tokio::test]
async fn each_row_of_the_merge_table_holds_at_the_server() {
    use MergePolicy::{Keep, Replace};
    let mut upstream = Upstream::start().await;
    let (here, elsewhere) = (Some("127.0.0.1"), Some("api.example"));

    #[rustfmt::skip]
    let rows: [Row; 15] = [
        (Keep,    Some(OURS), false, elsewhere, &["theirs"],          &[]),
        (Replace, Some(OURS), false, elsewhere, &["theirs"],          &[]),
        (Keep,    Some(OURS), true,  here,      &["theirs"],          &[]),
        (Keep,    Some(OURS), true,  None,      &[],                  &[]),
        (Replace, Some(OURS), true,  None,      &["theirs"],          &[]),
        (Keep,    Some(OURS), false, here,      &["theirs"],          &["theirs"]),
        (Keep,    None,       false, None,      &[" ", "one", "two"], &["one"]),
        (Replace, Some(OURS), false, here,      &["one", "two"],      &["ours"]),
        (Replace, None,       false, None,      &["one", "two"],      &[]),
        (Keep,    Some(OURS), false, None,      &[],                  &["ours"]),
        (Replace, Some(OURS), false, None,      &[],                  &["ours"]),
        (Keep,    Some(OURS), false, None,      &["", "\t"],          &["ours"]),
        (Keep,    None,       false, None,      &[],                  &[]),
        (Keep,    None,       false, None,      &["", " "],           &[]),
        (Replace, None,       false, None,      &[""],                &[]),
    ];
    for (policy, key, suppressed, host, theirs, expected) in rows {
        let row = format!("{policy:?} {key:?} {suppressed} {host:?} {theirs:?}");
        let mut layer = SessionAffinityLayer::new().or(key).merge_policy(policy);
        if let Some(host) = host {
            layer = layer.only_hosts([HostPattern::from_static(host)]);
        }
        let mut request = client(layer).get(&upstream.url);
        for value in theirs {
            request = request.header("x-session-affinity", HeaderValue::from_static(value));
        }
        if suppressed {
            request = request.with_extension(NoAffinity);
        }
        request.send().await.unwrap();
        assert_eq!(upstream.arrived().await, expected, "{row}");
    }
}

/// Retries at most twice while the answer is 503.
struct Retry;

#[async_trait::async_trait]
impl Middleware for Retry {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        for _ in 0..2 {
            let attempt = request.try_clone().expect("the body is not a stream");
            let response = next.clone().run(attempt, extensions).await?;
            if response.status() != StatusCode::SERVICE_UNAVAILABLE {
                return Ok(response);
            }
        }
        next.run(request, extensions).await
    }
}

#[tokio::test]
async fn each_attempt_of_a_retry_carries_the_key_once() {
    let layer = SessionAffinityLayer::new();
    let above = builder().with(Retry).with(layer.clone());
    let below = builder().with(layer).with(Retry);

    for client in [above.build(), below.build()] {
        let mut upstream = Upstream::failing(2).await;
        let request = client.post(&upstream.url).body("hello");
        let response = request.with_extension(OURS).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        for _ in 0..3 {
            assert_eq!(upstream.arrived().await, ["ours"]);
        }
    }
}

#[tokio::test]
async fn the_layer_wraps_a_client_with_middleware() {
    let mut upstream = Upstream::start().await;
    let inner = builder().with(Retry).build();
    let request = inner.get(&upstream.url).build().unwrap();
    let client = SessionAffinityLayer::new().or(OURS).layer(inner);
    client.oneshot(request).await.unwrap();
    assert_eq!(upstream.arrived().await, ["ours"]);
}

#[cfg(feature = "hmac")]
#[tokio::test]
async fn a_deriving_layer_sends_no_raw_id() {
    let secret = tower_session_affinity::AffinitySecret::new(&[7; 32]).unwrap();
    let layer = SessionAffinityLayer::new().derive_per_host(secret);
    let mut upstream = Upstream::start().await;
    let client = ClientBuilder::new(Client::new()).with(layer).build();
    let request = client
        .get(&upstream.url)
        .header("x-session-affinity", "alice@example.com");
    request.send().await.unwrap();
    let arrived = upstream.arrived().await;
    assert_eq!(arrived.len(), 1, "expected one value: {arrived:?}");
    assert_eq!(arrived[0].len(), 36, "expected a derived key: {arrived:?}");
}

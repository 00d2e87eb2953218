//! Many concurrent sessions: none sees the key of another.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::{JoinSet, spawn_blocking, yield_now};
use tower::{Layer, ServiceExt};
use tower_session_affinity::{
    AffinityFutureExt, AffinityKey, FromExtension, FromScope, Or, SessionAffinity,
    SessionAffinityLayer, carry,
};

use crate::{by_session_id, call_out, now};

type HttpClient = Client<HttpConnector, Empty<Bytes>>;
type StampingClient = SessionAffinity<HttpClient, Or<FromExtension, FromScope>>;

/// The number of calls, and so of lines, in one response.
const CALLS: usize = 14;

/// Returns a unique session, or none for every third request.
fn session(number: usize) -> Option<String> {
    (number % 3 != 0).then(|| format!("session-{number}"))
}

fn inbound<B: Default>(uri: &str, session: Option<&str>) -> Request<B> {
    let request = Request::get(uri);
    let request = match session {
        Some(session) => request.header("x-session-id", session),
        None => request,
    };
    request.body(B::default()).unwrap()
}

fn line(key: Option<&str>) -> String {
    format!("data: {}\n\n", key.unwrap_or("none"))
}

async fn slow_call_out() -> Option<String> {
    yield_now().await;
    let sent = call_out().await;
    yield_now().await;
    sent
}

/// Calls out in each way that a handler can, and returns what was sent.
async fn gather(everyone: Arc<Barrier>) -> Vec<Option<String>> {
    let mut sent = vec![slow_call_out().await];
    // Wait for all requests, so that they are handled concurrently.
    everyone.wait().await;
    let (one, two) = tokio::join!(slow_call_out(), slow_call_out());
    sent.extend([one, two]);
    sent.push(tokio::select! {
        sent = slow_call_out() => sent,
        sent = slow_call_out() => sent,
    });
    let unordered: FuturesUnordered<_> = (0..3).map(|_| slow_call_out()).collect();
    sent.extend(unordered.collect::<Vec<_>>().await);
    let mut tasks = JoinSet::new();
    tasks.spawn(slow_call_out().in_current_affinity());
    sent.extend(tasks.join_all().await);
    let blocking = carry(|| now(call_out()));
    sent.push(spawn_blocking(blocking).await.unwrap());
    sent
}

/// Streams what its calls sent. Some of the calls are made while the response is streamed.
async fn handle(
    State(everyone): State<Arc<Barrier>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let sent = gather(everyone).await;
    let later = stream::repeat_with(slow_call_out).take(CALLS - sent.len());
    let sent = stream::iter(sent).chain(later.buffer_unordered(2));
    Sse::new(sent.map(|sent| Ok(Event::default().data(sent.as_deref().unwrap_or("none")))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_concurrent_requests_never_see_the_key_of_another() {
    const REQUESTS: usize = 10_000;
    let app = Router::new()
        .route("/", get(handle))
        .with_state(Arc::new(Barrier::new(REQUESTS)))
        .layer(by_session_id());

    let mut answers = JoinSet::new();
    for number in 0..REQUESTS {
        let app = app.clone();
        answers.spawn(async move {
            let session = session(number);
            let request = inbound::<Body>("/", session.as_deref());
            let body = app.oneshot(request).await.unwrap().into_body();
            // The body is read in a different scope from the handler's.
            let other = AffinityKey::from_static("other");
            let body = other.scope(body.collect()).await.unwrap().to_bytes();
            assert_eq!(body, line(session.as_deref()).repeat(CALLS));
        });
    }
    assert_eq!(answers.join_all().await.len(), REQUESTS);
}

async fn serve(servers: &mut JoinSet<()>, app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    servers.spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

async fn text(response: Response<hyper::body::Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.into()).unwrap()
}

/// An agent that makes one call before its response begins and two while it is streamed.
async fn agent(
    State((client, upstream)): State<(StampingClient, String)>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let call = move || {
        let (client, upstream) = (client.clone(), upstream.clone());
        async move { text(client.oneshot(inbound(&upstream, None)).await.unwrap()).await }
    };
    let first = call().await;
    let later = stream::repeat_with(call).take(2).buffered(2);
    let all = stream::iter([first]).chain(later);
    Sse::new(all.map(|sent| Ok(Event::default().data(sent))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_over_sockets_never_mix() {
    const ROUNDS: usize = 5;
    const AT_ONCE: usize = 40;
    let mut servers = JoinSet::new();
    let echo = async |headers: HeaderMap| {
        let key = headers.get("x-session-affinity");
        key.map_or("none".into(), |key| key.to_str().unwrap().to_owned())
    };
    let upstream = serve(&mut servers, Router::new().route("/", get(echo))).await;

    let http: HttpClient = Client::builder(TokioExecutor::new()).build_http();
    let client = SessionAffinityLayer::new()
        .or(FromScope)
        .layer(http.clone());
    let app = Router::new()
        .route("/", get(agent))
        .with_state((client, format!("http://{upstream}/")))
        .layer(by_session_id());
    let url = format!("http://{}/", serve(&mut servers, app).await);

    // In each round, different sessions reuse the open connections.
    for round in 0..ROUNDS {
        let mut answers = JoinSet::new();
        for number in 0..AT_ONCE {
            let (http, url) = (http.clone(), url.clone());
            answers.spawn(async move {
                let session = session(round * AT_ONCE + number);
                let request = inbound(&url, session.as_deref());
                let answer = text(http.request(request).await.unwrap()).await;
                assert_eq!(answer, line(session.as_deref()).repeat(3));
            });
        }
        assert_eq!(answers.join_all().await.len(), AT_ONCE);
    }
}

//! Which code a scope covers: the rows of `docs/scope.md` that need only tokio.

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use http::Request;
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, block_in_place, spawn_blocking, yield_now};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityFutureExt, AffinityKey, FromScope, SessionAffinityLayer, carry, carry_async,
};

use crate::{OUTER, by_session_id, call_out, now};

/// Calls out after a yield, so that a scope that ends with the first poll is noticed.
async fn call() -> Option<String> {
    yield_now().await;
    call_out().await
}

fn blocking_call() -> Option<String> {
    now(call_out())
}

async fn in_scope<T>(handler: impl AsyncFnOnce() -> T) -> T {
    OUTER.scope(handler()).await
}

fn key() -> Option<String> {
    OUTER.as_str().to_owned().into()
}

#[tokio::test]
async fn an_awaited_call_is_in_the_scope() {
    assert_eq!(in_scope(call).await, key());
}

#[tokio::test]
async fn joined_and_selected_calls_are_in_the_scope() {
    let joined = in_scope(async || tokio::join!(call(), call())).await;
    assert_eq!(joined, (key(), key()));
    let selected = async || tokio::select! { sent = call() => sent, sent = call() => sent };
    assert_eq!(in_scope(selected).await, key());
}

#[tokio::test]
async fn unordered_and_buffered_calls_are_in_the_scope() {
    let unordered = async || {
        let calls: FuturesUnordered<_> = (0..3).map(|_| call()).collect();
        calls.collect::<Vec<_>>().await
    };
    assert_eq!(in_scope(unordered).await, [key(), key(), key()]);
    let buffered = async || {
        let calls = stream::repeat_with(call).take(3).buffer_unordered(2);
        calls.collect::<Vec<_>>().await
    };
    assert_eq!(in_scope(buffered).await, [key(), key(), key()]);
}

#[tokio::test]
async fn a_call_with_a_timeout_is_in_the_scope() {
    // Long, so that it does not expire on a busy machine.
    let patient = async || tokio::time::timeout(Duration::from_secs(3600), call()).await;
    assert_eq!(in_scope(patient).await, Ok(key()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_block_in_place_is_in_the_scope() {
    let blocking = async || {
        yield_now().await;
        block_in_place(blocking_call)
    };
    assert_eq!(in_scope(blocking).await, key());
}

#[tokio::test]
async fn a_spawned_task_is_not_in_the_scope_unless_it_takes_it_along() {
    let lost = async || tokio::spawn(call()).await.unwrap();
    let taken = async || tokio::spawn(call().in_current_affinity()).await.unwrap();
    assert_eq!(in_scope(lost).await, None);
    assert_eq!(in_scope(taken).await, key());
}

#[tokio::test]
async fn a_task_of_a_join_set_is_not_in_the_scope_unless_it_takes_it_along() {
    let both = async || {
        let mut lost = JoinSet::new();
        lost.spawn(call());
        let mut taken = JoinSet::new();
        taken.spawn(call().in_current_affinity());
        (lost.join_all().await, taken.join_all().await)
    };
    assert_eq!(in_scope(both).await, (vec![None], vec![key()]));
}

#[tokio::test]
async fn a_blocking_task_is_not_in_the_scope_unless_it_is_carried() {
    let lost = async || spawn_blocking(blocking_call).await.unwrap();
    let carried = async || spawn_blocking(carry(blocking_call)).await.unwrap();
    assert_eq!(in_scope(lost).await, None);
    assert_eq!(in_scope(carried).await, key());
}

#[tokio::test]
async fn a_thread_is_not_in_the_scope_unless_it_is_carried() {
    let lost = async || std::thread::spawn(blocking_call).join().unwrap();
    let carried = async || std::thread::spawn(carry(blocking_call)).join().unwrap();
    assert_eq!(in_scope(lost).await, None);
    assert_eq!(in_scope(carried).await, key());
}

/// When the callback runs, there is no longer a scope that `in_current_affinity` could take along.
#[tokio::test]
async fn a_callback_in_a_task_of_its_own_is_not_in_the_scope_unless_it_is_carried() {
    let late = async || {
        let callback = |()| call().in_current_affinity();
        tokio::spawn(async move { callback(()).await })
            .await
            .unwrap()
    };
    let carried = async || {
        let callback = carry_async(|()| call());
        tokio::spawn(async move { callback(()).await })
            .await
            .unwrap()
    };
    assert_eq!(in_scope(late).await, None);
    assert_eq!(in_scope(carried).await, key());
}

#[tokio::test]
async fn a_spawned_producer_of_a_body_is_not_in_the_scope_unless_it_takes_it_along() {
    async fn produce(sender: mpsc::Sender<Option<String>>) {
        sender.send(call().await).await.unwrap();
        sender.send(call().await).await.unwrap();
    }
    fn body(mut receiver: mpsc::Receiver<Option<String>>) -> Body {
        let sent = stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let frame = |sent: Option<String>| {
            Ok::<_, std::convert::Infallible>(Bytes::from(sent.unwrap_or_else(|| "none".into())))
        };
        Body::from_stream(sent.map(frame))
    }
    let app = Router::new()
        .route(
            "/lost",
            get(async || {
                let (sender, receiver) = mpsc::channel(1);
                tokio::spawn(produce(sender));
                body(receiver)
            }),
        )
        .route(
            "/taken",
            get(async || {
                let (sender, receiver) = mpsc::channel(1);
                tokio::spawn(produce(sender).in_current_affinity());
                body(receiver)
            }),
        )
        .layer(by_session_id());
    for (path, expected) in [("/lost", "nonenone"), ("/taken", "chat-7chat-7")] {
        let request = Request::get(path).header("x-session-id", "chat-7");
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap());
        let body = response.await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), expected, "{path}");
    }
}

/// A buffer's worker calls the service in its own task. A key in the extensions gets there.
#[tokio::test]
async fn a_layer_below_a_buffer_is_not_in_the_scope() {
    let layer = SessionAffinityLayer::new().or(FromScope);
    let sent = service_fn(|request: Request<()>| {
        let key = request.headers().get("x-session-affinity").cloned();
        std::future::ready(Ok::<_, std::convert::Infallible>(key))
    });
    let above = ServiceBuilder::new().layer(layer.clone()).buffer(1);
    let below = ServiceBuilder::new().buffer(1).layer(layer.clone());
    let crossing = ServiceBuilder::new()
        .map_request(|mut request: Request<()>| {
            if let Some(key) = AffinityKey::current() {
                request.extensions_mut().insert(key);
            }
            request
        })
        .buffer(1)
        .layer(layer);
    let request = || Request::new(());
    let calls = async || {
        [
            above.service(sent).oneshot(request()).await.unwrap(),
            below.service(sent).oneshot(request()).await.unwrap(),
            crossing.service(sent).oneshot(request()).await.unwrap(),
        ]
    };
    let key = Some("outer".parse().unwrap());
    assert_eq!(in_scope(calls).await, [key.clone(), None, key]);
}

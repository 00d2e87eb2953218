//! Response bodies are polled and dropped in the scope of their request.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::ready;

use axum::response::sse::{Event, Sse};
use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::task::yield_now;
use tower::ServiceExt;
use tower_session_affinity::{AffinityKey, ScopedBody};

use crate::{
    DropLog, INNER, OUTER, answer_with, by_session_id, call_out, inbound, now, poll_once, scoped,
};

/// A body of one frame with the header that its client sent; it records in which scope it is dropped.
fn calling(log: &DropLog) -> impl http_body::Body<Data = Bytes, Error = Infallible> + use<> {
    let held = log.clone();
    let frame = async move {
        let _held = &held;
        Ok(Frame::data(Bytes::from(
            call_out().await.unwrap_or_default(),
        )))
    };
    StreamBody::new(stream::once(Box::pin(frame)))
}

#[tokio::test]
async fn a_streamed_answer_makes_its_calls_in_the_scope() {
    async fn agent() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
        Sse::new(stream::unfold(1, async |turn| {
            yield_now().await;
            let key = call_out().await.unwrap_or_default();
            let event = Event::default().data(format!("turn {turn} {key}"));
            (turn <= 3).then_some((Ok(event), turn + 1))
        }))
    }
    let app = Router::new().route("/", get(agent)).layer(by_session_id());

    let request = inbound(Some("chat-7")).map(|()| Body::empty());
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(AffinityKey::current(), None);
    // A server reads the body after the handler has returned.
    let body = OUTER.scope(response.into_body().collect()).await.unwrap();
    assert_eq!(
        body.to_bytes(),
        "data: turn 1 chat-7\n\ndata: turn 2 chat-7\n\ndata: turn 3 chat-7\n\n",
    );
}

/// Tests every status, since error responses have bodies, too.
#[test]
fn a_body_of_any_status_is_polled_and_dropped_in_the_scope() {
    for status in (200..600).map(|status| StatusCode::from_u16(status).unwrap()) {
        for (session, key) in [(Some("inner"), Some(INNER)), (None, None)] {
            let log = DropLog::default();
            let answer = |body| {
                let mut response = Response::new(body);
                *response.status_mut() = status;
                answer_with(session, response)
            };
            let read = answer(calling(&log)).into_body().collect();
            let unread = answer(calling(&log)).into_body();
            OUTER.sync_scope(|| {
                let sent = now(read).unwrap().to_bytes();
                assert_eq!(sent, session.unwrap_or_default(), "{status}");
                drop(unread);
            });
            assert_eq!(log.entries(), [key.clone(), key], "{status}");
        }
    }
}

#[test]
fn a_body_that_outlives_the_thread_locals_is_dropped_without_a_panic() {
    thread_local! {
        static LAST: RefCell<Option<ScopedBody<DropLog>>> = const { RefCell::new(None) };
    }
    let log = DropLog::default();
    let held = log.clone();
    let thread = std::thread::spawn(move || {
        // Thread-locals are destroyed in reverse order of first use: this one after the scope's.
        LAST.with(|last| last.replace(None));
        LAST.set(Some(scoped(held)));
    });
    thread.join().unwrap();
    assert_eq!(log.entries(), [None]);
}

#[test]
fn a_frame_that_waits_leaves_no_key_behind() {
    let waiting = stream::pending::<Result<Frame<Bytes>, Infallible>>();
    let mut body = scoped(StreamBody::new(waiting));
    assert!(poll_once(body.frame()).is_pending());
    assert_eq!(AffinityKey::current(), None);
}

#[test]
fn frames_and_trailers_pass_through() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", "yes".parse().unwrap());
    let body = Full::new(Bytes::from("abc")).with_trailers(ready(Some(Ok(trailers))));
    let body = now(scoped(body).collect()).unwrap();
    assert_eq!(body.trailers().unwrap()["x-end"], "yes");
    assert_eq!(body.to_bytes(), "abc");
}

#[test]
fn size_hints_pass_through() {
    let full = scoped(Full::new(Bytes::from("abc")));
    assert_eq!(full.size_hint().exact(), Some(3));
    assert!(!full.is_end_stream());

    let endless = stream::pending::<Result<Frame<Bytes>, Infallible>>();
    let endless = scoped(StreamBody::new(endless));
    assert_eq!(endless.size_hint().exact(), None);
    assert!(!endless.is_end_stream());

    assert!(scoped(Empty::<Bytes>::new()).is_end_stream());
}

#[test]
fn the_default_body_is_empty() {
    let empty = ScopedBody::<Full<Bytes>>::default();
    assert!(empty.is_end_stream());
    assert_eq!(empty.size_hint().exact(), Some(0));
    assert_eq!(now(empty.collect()).unwrap().to_bytes(), "");
}

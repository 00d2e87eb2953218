//! The server layer: what runs in the scope of a request.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use axum::response::sse::{Event, Sse};
use axum::{Extension, Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::task::yield_now;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, AffinityScopeLayer, FromExtension, FromHeaders, FromScope, NoAffinity, Or,
    ScopedBody, header,
};
use tower_test::mock;

use crate::{DropLog, INNER, OUTER, Sent, call_out, client, now, poll_once};

fn by_session_id() -> AffinityScopeLayer<Or<FromExtension, FromHeaders>> {
    AffinityScopeLayer::new().or(FromHeaders::new([header::X_SESSION_ID]))
}

fn inbound(session: Option<&'static str>) -> Request<()> {
    let request = Request::builder();
    let request = match session {
        Some(session) => request.header("x-session-id", session),
        None => request,
    };
    request.body(()).unwrap()
}

/// Wraps a body as the answer to a request of the session `inner`.
fn scoped<B>(body: B) -> ScopedBody<B> {
    let mut body = Some(body);
    let answer = service_fn(move |_: Request<()>| {
        let body = body.take().expect("there is one request");
        ready(Ok::<_, Infallible>(Response::new(body)))
    });
    let response = now(by_session_id().layer(answer).call(inbound(Some("inner"))));
    response.unwrap().into_body()
}

/// Calls its client in `call`, with a request that has nothing of the inbound one.
struct Forward<C>(C);

impl<C> Service<Request<()>> for Forward<C>
where
    C: Service<Request<()>, Response = Option<String>, Error = Infallible, Future = Ready<Sent>>,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let sent = now(self.0.call(Request::new(()))).unwrap();
        ready(Ok(Response::new(sent.unwrap_or_default())))
    }
}

fn answer<S>(service: &mut S, request: Request<()>) -> String
where
    S: Service<Request<()>, Response = Response<ScopedBody<String>>, Error = Infallible>,
{
    let body = now(service.call(request)).unwrap().into_body();
    let bytes = now(body.collect()).unwrap().to_bytes();
    String::from_utf8(bytes.into()).unwrap()
}

#[test]
fn a_client_directly_below_the_layer_is_called_in_the_scope() {
    let mut service = by_session_id().layer(Forward(client()));
    assert_eq!(answer(&mut service, inbound(Some("chat-7"))), "chat-7");
    assert_eq!(answer(&mut service, inbound(None)), "");
    assert_eq!(AffinityKey::current(), None);
}

#[test]
fn a_request_without_a_key_hides_the_outer_scope_unless_told_otherwise() {
    let mut hiding = by_session_id().layer(Forward(client()));
    let mut inheriting = by_session_id().or(FromScope).layer(Forward(client()));
    OUTER.sync_scope(|| {
        assert_eq!(answer(&mut hiding, inbound(None)), "");
        assert_eq!(answer(&mut inheriting, inbound(None)), "outer");
    });
}

#[test]
fn a_request_with_no_affinity_is_answered_in_a_scope_without_a_key() {
    let mut service = by_session_id().layer(service_fn(|request: Request<()>| {
        assert!(request.extensions().get::<AffinityKey>().is_none());
        assert!(request.extensions().get::<NoAffinity>().is_some());
        ready(Ok(Response::new(now(call_out()).unwrap_or_default())))
    }));
    let mut request = inbound(Some("chat-7"));
    request.extensions_mut().insert(NoAffinity);
    OUTER.sync_scope(|| assert_eq!(answer(&mut service, request), ""));
}

#[tokio::test]
async fn an_axum_handler_reads_the_key_as_an_extension_and_calls_out_with_it() {
    let handler = async |key: Option<Extension<AffinityKey>>| {
        yield_now().await;
        assert_eq!(AffinityKey::current(), key.map(|Extension(key)| key));
        call_out().await.unwrap_or_default()
    };
    let app = Router::new()
        .route("/", get(handler))
        .layer(by_session_id().or_fn(|req| req.uri().query()?.parse().ok()));

    for (uri, session, expected) in [
        ("/", Some("chat-7"), "chat-7"),
        ("/?chat-8", Some("chat-7"), "chat-7"),
        ("/?chat-8", None, "chat-8"),
        ("/", None, ""),
    ] {
        let mut request = inbound(session).map(|()| Body::empty());
        *request.uri_mut() = uri.parse().unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), expected, "{uri} {session:?}");
    }
}

#[tokio::test]
async fn a_key_in_the_extensions_outranks_the_other_sources() {
    let app = by_session_id().layer(Forward(client()));
    let mut request = inbound(Some("chat-7"));
    request.extensions_mut().insert(INNER);
    let body = app.oneshot(request).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "inner");
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
    // A server reads the body where the handler has long returned.
    let body = OUTER.scope(response.into_body().collect()).await.unwrap();
    assert_eq!(
        body.to_bytes(),
        "data: turn 1 chat-7\n\ndata: turn 2 chat-7\n\ndata: turn 3 chat-7\n\n",
    );
}

#[test]
fn an_answer_that_nobody_waits_for_is_dropped_in_the_scope() {
    let log = DropLog::default();
    let held = log.clone();
    let mut service = by_session_id().layer(service_fn(move |_: Request<()>| {
        let held = held.clone();
        async move {
            let body = pending::<Response<Full<Bytes>>>().await;
            drop(held);
            Ok::<_, Infallible>(body)
        }
    }));
    let future = service.call(inbound(Some("inner")));
    OUTER.sync_scope(|| drop(future));
    assert_eq!(log.entries(), [Some(INNER)]);
}

#[test]
fn a_body_that_nobody_reads_is_dropped_in_the_scope() {
    let log = DropLog::default();
    let held = log.clone();
    let endless = stream::repeat_with(move || {
        let _ = &held;
        Ok::<_, Infallible>(Frame::data(Bytes::new()))
    });
    let body = scoped(StreamBody::new(endless));
    OUTER.sync_scope(|| drop(body));
    assert_eq!(log.entries(), [Some(INNER)]);
}

#[test]
fn a_body_that_outlives_the_locals_of_its_thread_is_dropped_without_a_panic() {
    thread_local! {
        static LAST: RefCell<Option<ScopedBody<DropLog>>> = const { RefCell::new(None) };
    }
    let log = DropLog::default();
    let held = log.clone();
    let thread = std::thread::spawn(move || {
        // Locals are destroyed in the reverse order of their first use: this one after the scope's.
        LAST.with(|last| last.replace(None));
        LAST.set(Some(scoped(held)));
    });
    thread.join().unwrap();
    assert_eq!(log.entries(), [None]);
}

#[test]
fn a_panic_while_answering_leaves_no_key_behind() {
    let mut in_call = by_session_id().layer(service_fn(
        |_: Request<()>| -> Ready<Result<Response<()>, Infallible>> { panic!("in call") },
    ));
    let call = AssertUnwindSafe(|| drop(in_call.call(inbound(Some("inner")))));
    assert!(catch_unwind(call).is_err());
    assert_eq!(AffinityKey::current(), None);

    let mut in_handler = by_session_id().layer(service_fn(
        async |_: Request<()>| -> Result<Response<()>, Infallible> { panic!("in a handler") },
    ));
    let future = in_handler.call(inbound(Some("inner")));
    assert!(catch_unwind(AssertUnwindSafe(|| now(future).map(drop))).is_err());
    assert_eq!(AffinityKey::current(), None);

    let in_body = stream::poll_fn(|_| -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("in a body")
    });
    let mut body = scoped(StreamBody::new(in_body));
    assert!(catch_unwind(AssertUnwindSafe(|| poll_once(body.frame()).is_ready())).is_err());
    assert_eq!(AffinityKey::current(), None);
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
fn hints_of_a_body_pass_through() {
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
fn a_body_by_default_is_empty() {
    let empty = ScopedBody::<Full<Bytes>>::default();
    assert!(empty.is_end_stream());
    assert_eq!(empty.size_hint().exact(), Some(0));
    assert_eq!(now(empty.collect()).unwrap().to_bytes(), "");
}

#[tokio::test]
async fn readiness_and_errors_are_those_of_the_inner_service() {
    let (service, mut handle) = mock::pair::<Request<()>, Response<()>>();
    let mut service = mock::Spawn::new(by_session_id().layer(service));

    handle.allow(0);
    assert!(service.poll_ready().is_pending());
    handle.allow(1);
    assert!(service.poll_ready().is_ready());

    let future = service.call(inbound(None));
    let (request, respond) = handle.next_request().await.unwrap();
    assert!(request.headers().is_empty());
    respond.send_error("refused");
    assert_eq!(future.await.unwrap_err().to_string(), "refused");
}

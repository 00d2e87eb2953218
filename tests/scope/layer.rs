//! The server layer: which code runs in the scope of a request.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::task::yield_now;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_session_affinity::{AffinityKey, FromScope, NoAffinity, ParentKey, ScopedBody};
use tower_test::mock;

use crate::{
    DropLog, INNER, OUTER, Sent, by_session_id, call_out, client, inbound, now, poll_once, scoped,
};

/// Calls its client in `call`, with an empty request instead of the inbound one.
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
async fn an_axum_handler_reads_the_key_and_calls_out_with_it() {
    let handler = async || {
        yield_now().await;
        let key = AffinityKey::current().map(|key| key.as_str().to_owned());
        assert_eq!(call_out().await, key);
        key.unwrap_or_default()
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

#[test]
fn the_request_passes_through_unchanged() {
    let mut service = by_session_id().layer(service_fn(|request: Request<()>| {
        assert_eq!(request.headers()["x-session-id"], "chat-7");
        assert!(request.extensions().is_empty());
        ready(Ok::<_, Infallible>(Response::new(())))
    }));
    now(service.call(inbound(Some("chat-7")))).unwrap();
}

#[test]
fn only_the_extensions_set_the_parent() {
    let mut service = by_session_id().layer(service_fn(|_: Request<()>| {
        let parent = ParentKey::current();
        async move {
            assert_eq!(parent, ParentKey::current());
            let parent = parent.map(|ParentKey(key)| key.as_str().to_owned());
            Ok(Response::new(parent.unwrap_or_default()))
        }
    }));
    let with_parent = || {
        let mut request = inbound(Some("chat-7"));
        request.extensions_mut().insert(ParentKey(INNER));
        request
    };
    let mut suppressed = with_parent();
    suppressed.extensions_mut().insert(NoAffinity);
    ParentKey(OUTER).sync_scope(|| {
        assert_eq!(answer(&mut service, with_parent()), "inner");
        assert_eq!(answer(&mut service, inbound(Some("chat-7"))), "");
        assert_eq!(answer(&mut service, suppressed), "");
    });
}

#[tokio::test]
async fn a_key_in_the_extensions_outranks_the_other_sources() {
    let app = by_session_id().layer(Forward(client()));
    let mut request = inbound(Some("chat-7"));
    request.extensions_mut().insert(INNER);
    let body = app.oneshot(request).await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "inner");
}

#[test]
fn an_answer_that_nobody_waits_for_is_dropped_in_the_scope() {
    for (session, key) in [(Some("inner"), Some(INNER)), (None, None)] {
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
        let future = service.call(inbound(session));
        OUTER.sync_scope(|| drop(future));
        assert_eq!(log.entries(), [key]);
    }
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

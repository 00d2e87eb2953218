//! The key of the current task: which code a scope covers.
#![cfg(feature = "scope")]

mod body;
mod carry;
mod cost;
mod isolation;
#[path = "../support/kept_keys.rs"]
mod kept_keys;
mod layer;
mod other_tasks;
mod parent;
mod reach;
mod task;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, AffinityScopeLayer, FromExtension, FromHeaders, FromScope, Or, ScopedBody,
    SessionAffinityLayer, header,
};

const OUTER: AffinityKey = AffinityKey::from_static("outer");
const INNER: AffinityKey = AffinityKey::from_static("inner");

type Sent = Result<Option<String>, Infallible>;

/// A client that sends the key of the scope. Its response is the header that it sent.
fn client()
-> impl Service<Request<()>, Response = Option<String>, Error = Infallible, Future = Ready<Sent>> {
    let echo = service_fn(|request: Request<()>| -> Ready<Sent> {
        let value = request.headers().get("x-session-affinity");
        ready(Ok(value.map(|value| value.to_str().unwrap().to_owned())))
    });
    SessionAffinityLayer::new().or(FromScope).layer(echo)
}

/// Calls out with a request that has no key.
async fn call_out() -> Option<String> {
    client().oneshot(Request::new(())).await.unwrap()
}

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

/// Returns this response from a service in the scope of this session.
fn answer_with<B>(session: Option<&'static str>, response: Response<B>) -> Response<ScopedBody<B>> {
    let mut response = Some(response);
    let answer = service_fn(move |_: Request<()>| {
        let response = response.take().expect("there is one request");
        ready(Ok::<_, Infallible>(response))
    });
    now(by_session_id().layer(answer).call(inbound(session))).unwrap()
}

/// Wraps a body as in the response to a request of the session `inner`.
fn scoped<B>(body: B) -> ScopedBody<B> {
    answer_with(Some("inner"), Response::new(body)).into_body()
}

/// Polls a future once, without a runtime.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Returns the output of a future that is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match poll_once(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("expected the future to be ready at once"),
    }
}

/// Records the key of the scope in which it is dropped.
#[derive(Clone, Default)]
struct DropLog(Arc<Mutex<Vec<Option<AffinityKey>>>>);

impl DropLog {
    fn entries(&self) -> Vec<Option<AffinityKey>> {
        self.0.lock().unwrap().clone()
    }
}

impl Drop for DropLog {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(AffinityKey::current());
    }
}

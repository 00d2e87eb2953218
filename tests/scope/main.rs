//! The key of the current task: where a scope reaches, and where it ends.
#![cfg(feature = "scope")]

mod isolation;
mod layer;
mod task;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use http::Request;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_session_affinity::{AffinityKey, FromScope, SessionAffinityLayer};

const OUTER: AffinityKey = AffinityKey::from_static("outer");
const INNER: AffinityKey = AffinityKey::from_static("inner");

type Sent = Result<Option<String>, Infallible>;

/// A client that stamps from the scope; its answer is the header that it sent.
fn client()
-> impl Service<Request<()>, Response = Option<String>, Error = Infallible, Future = Ready<Sent>> {
    let echo = service_fn(|request: Request<()>| -> Ready<Sent> {
        let value = request.headers().get("x-session-affinity");
        ready(Ok(value.map(|value| value.to_str().unwrap().to_owned())))
    });
    SessionAffinityLayer::new().or(FromScope).layer(echo)
}

/// Calls out with a request that says nothing of a key.
async fn call_out() -> Option<String> {
    client().oneshot(Request::new(())).await.unwrap()
}

/// Polls a future once, without a runtime.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Returns the output of a future that has no need to wait.
fn now<F: Future>(future: F) -> F::Output {
    match poll_once(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

/// Writes down the key of the scope that it is dropped in.
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

//! Futures, closures and tasks.

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::task::yield_now;
use tower_session_affinity::{AffinityKey, Scoped};

use crate::{DropLog, INNER, OUTER, call_out, now, poll_once};

#[test]
fn outside_every_scope_there_is_no_key() {
    assert_eq!(AffinityKey::current(), None);
    assert_eq!(now(call_out()), None);
}

#[tokio::test]
async fn a_call_inside_a_scope_carries_its_key() {
    assert_eq!(INNER.scope(call_out()).await.as_deref(), Some("inner"));
    let carried = INNER.sync_scope(|| now(call_out()));
    assert_eq!(carried.as_deref(), Some("inner"));
}

#[tokio::test]
async fn a_nested_scope_restores_the_outer_one() {
    let nested = async {
        let inside = INNER.scope(async {
            yield_now().await;
            AffinityKey::current()
        });
        assert_eq!(inside.await, Some(INNER));
        assert_eq!(AffinityKey::current(), Some(OUTER));
        assert_eq!(INNER.sync_scope(AffinityKey::current), Some(INNER));
        assert_eq!(AffinityKey::current(), Some(OUTER));
    };
    OUTER.scope(nested).await;
    assert_eq!(AffinityKey::current(), None);
}

#[tokio::test]
async fn a_scope_without_a_key_hides_the_outer_one() {
    let nested = async {
        assert_eq!(Scoped::new(None, call_out()).await, None);
        assert_eq!(AffinityKey::current(), Some(OUTER));
    };
    OUTER.scope(nested).await;
}

#[test]
fn a_future_that_waits_leaves_no_key_behind() {
    let mut waiting = pin!(INNER.scope(pending::<()>()));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    assert_eq!(AffinityKey::current(), None);
}

#[test]
fn a_future_that_is_cancelled_is_dropped_in_its_scope() {
    let log = DropLog::default();
    let held = log.clone();
    let cancelled = INNER.scope(async move {
        pending::<()>().await;
        drop(held);
    });
    OUTER.sync_scope(|| drop(cancelled));
    assert_eq!(log.entries(), [Some(INNER)]);
}

#[test]
fn a_future_that_is_done_is_dropped_at_once_and_in_its_scope() {
    let log = DropLog::default();
    let held = log.clone();
    let mut done = pin!(INNER.scope(poll_fn(move |_| {
        let _held = &held;
        Poll::Ready(())
    })));
    assert!(poll_once(done.as_mut()).is_ready());
    assert_eq!(log.entries(), [Some(INNER)]);
}

#[test]
fn a_panic_in_a_scope_leaves_no_key_behind() {
    let closure = catch_unwind(|| INNER.sync_scope(|| panic!("in a closure")));
    assert!(closure.is_err());
    assert_eq!(AffinityKey::current(), None);

    let future = INNER.scope(async { panic!("in a future") });
    let future = catch_unwind(AssertUnwindSafe(|| now(future)));
    assert!(future.is_err());
    assert_eq!(AffinityKey::current(), None);
}

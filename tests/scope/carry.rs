//! Scopes that are carried to tasks, threads and callbacks.

use std::future::pending;
use std::thread;

use tokio::task::{JoinSet, spawn_blocking};
use tower_session_affinity::{
    AffinityFutureExt, AffinityKey, ParentKey, Scoped, carry, carry_async,
};

use crate::{DropLog, INNER, OUTER, call_out, now};

type Keys = (Option<AffinityKey>, Option<ParentKey>);

fn keys() -> Keys {
    (AffinityKey::current(), ParentKey::current())
}

fn both() -> Keys {
    (Some(INNER), Some(ParentKey(OUTER)))
}

/// Runs a handler in a scope with a key and a parent, and in one without a key.
async fn in_both_scopes<R>(handler: impl AsyncFn() -> R) -> [R; 2] {
    let with_keys = ParentKey(OUTER).scope(INNER.scope(handler())).await;
    let without = ParentKey(OUTER).scope(Scoped::new(None, handler())).await;
    [with_keys, without]
}

#[tokio::test]
async fn a_spawned_task_takes_the_current_scope_along() {
    let handler = async || {
        let mut tasks = JoinSet::new();
        tasks.spawn(async { keys() }.in_current_affinity());
        let alone = tokio::spawn(async { keys() }.in_current_affinity());
        tasks.spawn(async { alone.await.unwrap() });
        tasks.join_all().await
    };
    let [with_keys, without] = in_both_scopes(handler).await;
    assert_eq!(with_keys, [both(), both()]);
    assert_eq!(without, [(None, None), (None, None)]);
}

#[tokio::test]
async fn a_carried_closure_runs_in_the_scope_that_it_came_from() {
    let handler = async || {
        let thread = thread::spawn(carry(keys)).join().unwrap();
        [thread, spawn_blocking(carry(keys)).await.unwrap()]
    };
    let [with_keys, without] = in_both_scopes(handler).await;
    assert_eq!(with_keys, [both(), both()]);
    assert_eq!(without, [(None, None), (None, None)]);
}

#[tokio::test]
async fn a_carried_callback_and_its_future_run_in_the_scope_that_they_came_from() {
    let handler = async || {
        let callback = carry_async(|argument: u8| {
            let called = keys();
            async move { (argument, called, keys()) }
        });
        tokio::spawn(async { callback(7).await }).await.unwrap()
    };
    let [with_keys, without] = in_both_scopes(handler).await;
    assert_eq!(with_keys, (7, both(), both()));
    assert_eq!(without, (7, (None, None), (None, None)));
}

#[test]
fn a_carried_scope_hides_the_current_one() {
    let none = carry(keys);
    let future = async { keys() }.in_current_affinity();
    let callback = carry_async(|()| async { keys() });
    let (none, future, callback) = ParentKey(OUTER)
        .sync_scope(|| OUTER.sync_scope(|| (none(), now(future), now(callback(())))));
    assert_eq!(
        [none, future, callback],
        [(None, None), (None, None), (None, None)]
    );
}

#[test]
fn a_carried_future_is_dropped_in_its_scope() {
    let log = DropLog::default();
    let held = log.clone();
    let future = async move {
        pending::<()>().await;
        drop(held);
    };
    let future = INNER.sync_scope(|| future.in_current_affinity());
    OUTER.sync_scope(|| drop(future));
    assert_eq!(log.entries(), [Some(INNER)]);
}

#[test]
fn in_affinity_runs_a_future_with_a_key() {
    assert_eq!(now(call_out().in_affinity(INNER)).as_deref(), Some("inner"));
}

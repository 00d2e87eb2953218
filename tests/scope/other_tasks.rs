//! Other tasks that run on a thread while it is in a scope do not see its key.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

use futures_util::FutureExt;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{LocalSet, block_in_place, spawn_blocking, spawn_local, yield_now};
use tower_session_affinity::{AffinityFutureExt, AffinityKey, ParentKey, Scoped};

use crate::{DropLog, INNER, OUTER, call_out};

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Calls out twice, and lets other tasks run in between.
async fn call_out_twice() -> [Option<String>; 2] {
    let first = call_out().await;
    yield_now().await;
    [first, call_out().await]
}

fn sent(key: &str) -> [Option<String>; 2] {
    [Some(key.to_owned()), Some(key.to_owned())]
}

const NOTHING: [Option<String>; 2] = [None, None];

#[tokio::test]
async fn a_task_of_a_local_set_that_is_driven_inside_a_scope_does_not_see_its_key() {
    let tasks = LocalSet::new();
    let stranger = tasks.spawn_local(call_out_twice());
    let of_its_own = tasks.spawn_local(call_out_twice().in_affinity(INNER));
    let running = tasks.run_until(async {
        let child = spawn_local(call_out_twice());
        (
            stranger.await,
            of_its_own.await,
            child.await,
            call_out().await,
        )
    });
    let (stranger, of_its_own, child, driver) = OUTER.scope(running).await;
    assert_eq!(stranger.unwrap(), NOTHING);
    assert_eq!(of_its_own.unwrap(), sent("inner"));
    assert_eq!(child.unwrap(), NOTHING);
    assert_eq!(driver.as_deref(), Some("outer"));
}

#[test]
fn a_task_of_a_runtime_that_is_blocked_on_inside_a_scope_does_not_see_its_key() {
    let runtime = runtime();
    let stranger = runtime.spawn(call_out_twice());
    let of_its_own = runtime.spawn(call_out_twice().in_affinity(INNER));
    OUTER.sync_scope(|| {
        runtime.block_on(async {
            assert_eq!(call_out_twice().await, sent("outer"));
            assert_eq!(stranger.await.unwrap(), NOTHING);
            assert_eq!(of_its_own.await.unwrap(), sent("inner"));
            assert_eq!(tokio::spawn(call_out_twice()).await.unwrap(), NOTHING);
            assert_eq!(call_out_twice().await, sent("outer"));
        });
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_of_a_second_runtime_that_a_task_blocks_on_does_not_see_its_key() {
    let task = async {
        block_in_place(|| {
            let second = runtime();
            let stranger = second.spawn(call_out_twice());
            second.block_on(async {
                assert_eq!(call_out_twice().await, sent("outer"));
                assert_eq!(stranger.await.unwrap(), NOTHING);
                assert_eq!(call_out_twice().await, sent("outer"));
            });
        });
        call_out().await
    };
    let task = tokio::spawn(OUTER.scope(task));
    assert_eq!(task.await.unwrap().as_deref(), Some("outer"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_future_that_a_task_blocks_on_sees_its_key() {
    let blocking = || block_in_place(|| Handle::current().block_on(call_out_twice()));
    let task = tokio::spawn(OUTER.scope(async move { blocking() }));
    assert_eq!(task.await.unwrap(), sent("outer"));
}

#[tokio::test]
async fn a_blocking_task_is_outside_the_scope_and_has_scopes_of_its_own() {
    let blocking = || {
        let outside = AffinityKey::current();
        let inside = INNER.sync_scope(|| Handle::current().block_on(call_out_twice()));
        (outside, inside, AffinityKey::current())
    };
    let spawned = OUTER.scope(async { spawn_blocking(blocking).await });
    assert_eq!(spawned.await.unwrap(), (None, sent("inner"), None));
}

#[test]
fn a_task_that_is_dropped_inside_a_scope_does_not_see_its_key() {
    let [unscoped, scoped, output] = [(); 3].map(|()| DropLog::default());
    let hold = |log: &DropLog| {
        let log = log.clone();
        async move {
            pending::<()>().await;
            drop(log);
        }
    };
    let runtime = runtime();
    runtime.spawn(hold(&unscoped));
    runtime.spawn(hold(&scoped).in_affinity(INNER));
    let finished = output.clone();
    let finished = runtime.spawn(async move { finished });
    runtime.block_on(yield_now());
    OUTER.sync_scope(|| {
        drop(finished);
        drop(runtime);
    });
    assert_eq!(unscoped.entries(), [None]);
    assert_eq!(scoped.entries(), [Some(INNER)]);
    assert_eq!(output.entries(), [None]);
}

#[tokio::test]
async fn a_task_that_panics_inside_a_scope_leaves_it_as_it_was() {
    let tasks = LocalSet::new();
    let panicking = tasks.spawn_local(async { panic!("in a task") }.in_affinity(INNER));
    let running = tasks.run_until(async {
        assert!(panicking.await.unwrap_err().is_panic());
        call_out().await
    });
    assert_eq!(OUTER.scope(running).await.as_deref(), Some("outer"));
    assert_eq!(AffinityKey::current(), None);
}

#[tokio::test]
async fn a_parent_is_not_inherited_from_a_different_task() {
    let parents = || async { (AffinityKey::current(), ParentKey::current()) };
    let tasks = LocalSet::new();
    let stranger = tasks.spawn_local(parents());
    let of_its_own = tasks.spawn_local(parents().in_affinity(INNER));
    let running = tasks.run_until(async { (stranger.await, of_its_own.await, parents().await) });
    let running = ParentKey(OUTER).scope(OUTER.scope(running));

    let (stranger, of_its_own, driver) = running.await;
    assert_eq!(stranger.unwrap(), (None, None));
    assert_eq!(of_its_own.unwrap(), (Some(INNER), None));
    assert_eq!(driver, (Some(OUTER), Some(ParentKey(OUTER))));
    assert_eq!(parents().await, (None, None));
}

#[tokio::test]
async fn a_scope_moves_with_its_future_to_a_different_task() {
    let mut moving = Box::pin(INNER.scope(call_out_twice()));
    #[expect(
        clippy::async_yields_async,
        reason = "it continues in a different task"
    )]
    let begun = tokio::spawn(async move {
        let poll = poll_fn(|cx| Poll::Ready(moving.poll_unpin(cx)));
        assert!(poll.await.is_pending());
        moving
    });
    let moved = tokio::spawn(begun.await.unwrap());
    assert_eq!(moved.await.unwrap(), sent("inner"));
}

#[tokio::test]
async fn a_shared_future_sees_who_polls_it_unless_it_has_a_scope_of_its_own() {
    let begin_and_leave = async |shared| {
        let begun: futures_util::future::Shared<_> = FutureExt::shared(shared);
        let first_poll = INNER.scope(async { begun.clone().now_or_never() });
        assert!(first_poll.await.is_none());
        OUTER.scope(begun).await
    };
    let call = || Box::pin(call_out_twice()) as std::pin::Pin<Box<dyn Future<Output = _>>>;
    let own = Box::pin(Scoped::new(Some(INNER), call())) as _;
    let shared: [_; 2] = begin_and_leave(call()).await;
    assert_eq!(shared, [sent("inner")[0].clone(), sent("outer")[0].clone()]);
    assert_eq!(begin_and_leave(own).await, sent("inner"));
}

#[test]
fn a_future_that_something_else_than_tokio_polls_inside_a_scope_sees_its_key() {
    // Without a task id it cannot be told apart; the docs of `Scoped` say so.
    let mut stranger = pin!(call_out());
    let seen = OUTER.sync_scope(|| crate::poll_once(stranger.as_mut()));
    assert_eq!(seen, Poll::Ready(Some("outer".to_owned())));
}

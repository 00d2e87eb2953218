//! Closures that run elsewhere, in the scope that they were made in.

use super::context::Scope;
use super::future::Scoped;

/// Runs a closure in the scope that `carry` is called in, on whichever thread.
///
/// A scope without a key is carried as well, and so is the parent.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, carry};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tokio::task::JoinError> {
/// # fn call() -> Option<AffinityKey> { AffinityKey::current() }
/// let handler = async { tokio::task::spawn_blocking(carry(call)).await };
/// let key = AffinityKey::from_static("chat-7");
/// assert_eq!(key.clone().scope(handler).await?, Some(key.clone()));
///
/// let thread = key.clone().sync_scope(|| std::thread::spawn(carry(call)));
/// assert_eq!(thread.join().expect("no panic"), Some(key));
/// # Ok(())
/// # }
/// ```
pub fn carry<F, R>(f: F) -> impl FnOnce() -> R
where
    F: FnOnce() -> R,
{
    let mut scope = Scope::current();
    move || {
        let _entered = scope.enter();
        f()
    }
}

/// Runs a callback, and the future that it returns, in the scope that `carry_async` is called in.
///
/// It is for callbacks that a library calls in a task of its own, such as that of a WebSocket's
/// `on_upgrade`. There [`in_current_affinity`](crate::AffinityFutureExt::in_current_affinity) would come
/// too late, since the callback already runs outside the scope.
///
/// # Examples
///
/// ```
/// use axum::extract::ws::{WebSocket, WebSocketUpgrade};
/// use axum::response::Response;
/// use tower_session_affinity::carry_async;
///
/// # async fn chat(_: WebSocket) {}
/// async fn handler(upgrade: WebSocketUpgrade) -> Response {
///     upgrade.on_upgrade(carry_async(chat))
/// }
/// ```
pub fn carry_async<F, A, R>(f: F) -> impl FnOnce(A) -> Scoped<R>
where
    F: FnOnce(A) -> R,
    R: Future,
{
    let mut scope = Scope::current();
    move |argument| {
        let future = {
            let _entered = scope.enter();
            f(argument)
        };
        Scoped::within(scope, future)
    }
}

//! Closures that run elsewhere, in the scope in which they were made.

use super::context::Scope;
use super::future::Scoped;

/// Makes a closure that runs in the scope in which `carry` is called, on any thread.
///
/// The parent is carried as well, and so is a scope without a key.
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

/// Makes a callback that runs, with the future that it returns, in the scope in which `carry_async` is called.
///
/// Use it for a callback that a library calls in a task of its own, such as that of a WebSocket's
/// `on_upgrade`. In such a callback,
/// [`in_current_affinity`](crate::AffinityFutureExt::in_current_affinity) comes too late: the callback already
/// runs outside the scope.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, carry_async};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tokio::task::JoinError> {
/// let chat = async |_socket: ()| AffinityKey::current();
/// let key = AffinityKey::from_static("chat-7");
/// let callback = key.clone().sync_scope(|| carry_async(chat));
/// assert_eq!(tokio::spawn(async { callback(()).await }).await?, Some(key));
/// # Ok(())
/// # }
/// ```
///
/// A WebSocket of axum:
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

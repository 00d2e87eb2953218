//! The future that is polled in a scope.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::context::Scope;
use crate::AffinityKey;

pin_project! {
    /// A future that is polled, and dropped, in a scope.
    ///
    /// [`AffinityKey::scope`] and the methods of [`AffinityFutureExt`](crate::AffinityFutureExt) make it.
    /// [`Scoped::new`] has an example.
    ///
    /// # What is in the scope
    ///
    /// A scope belongs to its future, not to a thread: `join!`, `select!` and streams inside the future are in
    /// the scope, on whichever thread they resume. Only the task that polls the future sees the scope. A
    /// spawned task does not, even if it runs on the same thread in the middle of a poll, as a task of a
    /// `LocalSet` can.
    ///
    /// # Limits
    ///
    /// Tasks are told apart by [`tokio::task::try_id`]. So work that runs as part of the task sees its key,
    /// even if it belongs elsewhere:
    ///
    /// - work of an executor other than tokio that is driven inside the scope, such as
    ///   `futures::executor::LocalPool`, or of a rayon thread that steals a job while it waits;
    /// - a future that several tasks poll, such as `futures::future::Shared`, or that is sent to a different
    ///   task: it sees the scope of the task that polls it at the time;
    /// - a waker that runs code when it is woken, instead of scheduling a task.
    ///
    /// In these cases, give the future a scope of its own where it is made, with
    /// [`in_current_affinity`](crate::AffinityFutureExt::in_current_affinity).
    ///
    /// # Panics
    ///
    /// If it is polled after it has completed.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Scoped<F> {
        #[pin]
        future: InScope<F>,
    }
}

pin_project! {
    /// A pinned value that is used, and dropped, in a scope.
    #[derive(Debug)]
    pub(super) struct InScope<T> {
        scope: Scope,
        // `None` after it was dropped, and for a body that is empty from the start.
        #[pin]
        inner: Option<T>,
    }

    impl<T> PinnedDrop for InScope<T> {
        fn drop(this: Pin<&mut Self>) {
            this.drop_inner();
        }
    }
}

impl<F: Future> Scoped<F> {
    /// Runs a future in the scope of this key, or with `None` in a scope without a key.
    ///
    /// # Examples
    ///
    /// The side call of a conversation, such as its title, is made without its key:
    ///
    /// ```
    /// use tower_session_affinity::{AffinityKey, Scoped};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let handler = async {
    ///     let title = async { AffinityKey::current() };
    ///     Scoped::new(None, title).await
    /// };
    /// assert_eq!(AffinityKey::from_static("chat-7").scope(handler).await, None);
    /// # }
    /// ```
    pub fn new(key: Option<AffinityKey>, future: F) -> Self {
        Self::within(Scope::with_key(key), future)
    }
}

impl<F> Scoped<F> {
    pub(super) const fn within(scope: Scope, future: F) -> Self {
        Self {
            future: InScope::new(scope, Some(future)),
        }
    }

    /// Returns the scope, which then has no keys.
    pub(super) fn take_scope(self: Pin<&mut Self>) -> Scope {
        self.project().future.project().scope.take()
    }
}

impl<T> InScope<T> {
    pub(super) const fn new(scope: Scope, inner: Option<T>) -> Self {
        Self { scope, inner }
    }

    /// Borrows the value, if there is one.
    pub(super) const fn get_ref(&self) -> Option<&T> {
        self.inner.as_ref()
    }

    /// Uses the value in the scope, if there is one.
    #[inline]
    pub(super) fn with<R>(self: Pin<&mut Self>, f: impl FnOnce(Pin<&mut T>) -> R) -> Option<R> {
        let this = self.project();
        let inner = this.inner.as_pin_mut()?;
        let _entered = this.scope.enter();
        Some(f(inner))
    }

    #[inline]
    fn drop_inner(self: Pin<&mut Self>) {
        let mut this = self.project();
        if this.inner.is_some() {
            let _entered = this.scope.enter();
            this.inner.set(None);
        }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self.project().future;
        let poll = future.as_mut().with(|future| future.poll(cx));
        let output = ready!(poll.expect("`Scoped` was polled after it had completed"));
        // Like an `async` block, it drops what it holds as soon as it has completed.
        future.drop_inner();
        Poll::Ready(output)
    }
}

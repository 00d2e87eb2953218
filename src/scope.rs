//! The key of the current task, from an inbound request to the calls made while it is answered.

mod body;
mod layer;
mod service;

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::task::futures::TaskLocalFuture;

use crate::{AffinityKey, KeyExtractor, RequestHead};

pub use body::ScopedBody;
pub use layer::AffinityScopeLayer;
pub use service::{AffinityScope, ScopedResponseFuture};

tokio::task_local! {
    // An `Option`, so that a request without a key masks an outer scope.
    static CURRENT: Option<AffinityKey>;
}

pin_project! {
    /// Runs a future in a scope; made by [`AffinityKey::scope`].
    ///
    /// The future is polled in the scope, and dropped in it too. A scope belongs to its future and not
    /// to a thread: `join!`, `select!` and streams inside it are in the scope, wherever they resume. A
    /// task that is spawned is another future, and is not.
    ///
    /// # Examples
    ///
    /// A spawned task takes the scope along, a scope without a key included:
    ///
    /// ```
    /// use tower_session_affinity::{AffinityKey, Scoped};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tokio::task::JoinError> {
    /// let handler = async {
    ///     let task = async { AffinityKey::current() };
    ///     tokio::spawn(Scoped::new(AffinityKey::current(), task)).await
    /// };
    /// let key = AffinityKey::from_static("chat-7");
    /// assert_eq!(key.clone().scope(handler).await?, Some(key));
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Scoped<F> {
        #[pin]
        future: TaskLocalFuture<Option<AffinityKey>, F>,
    }
}

/// Takes the key of the scope that the call is made in.
///
/// It is read when the layer's `call` runs. So the layer goes above a `tower::buffer::Buffer`, whose
/// worker makes the calls below it in a task of its own, outside every scope.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, FromScope, KeyExtractor};
///
/// let request = http::Request::get("/").body(())?;
/// let key = AffinityKey::from_static("chat-7");
/// let found = key.clone().sync_scope(|| FromScope.extract((&request).into()));
///
/// assert_eq!(found, Some(key));
/// assert_eq!(FromScope.extract((&request).into()), None);
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct FromScope;

impl AffinityKey {
    /// Runs a future in the scope of this key.
    ///
    /// A scope inside a scope hides the outer one for as long as it runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::AffinityKey;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let key = AffinityKey::from_static("chat-7");
    /// let seen = key.clone().scope(async { AffinityKey::current() }).await;
    /// assert_eq!(seen, Some(key));
    /// # }
    /// ```
    pub fn scope<F: Future>(self, future: F) -> Scoped<F> {
        Scoped::new(Some(self), future)
    }

    /// Runs a closure in the scope of this key.
    ///
    /// # Panics
    ///
    /// If `f` does, and while the thread-locals of a thread that ends are being destroyed.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::AffinityKey;
    ///
    /// let key = AffinityKey::from_static("chat-7");
    /// assert_eq!(key.clone().sync_scope(AffinityKey::current), Some(key));
    /// assert_eq!(AffinityKey::current(), None);
    /// ```
    pub fn sync_scope<F, R>(self, f: F) -> R
    where
        F: FnOnce() -> R,
    {
        CURRENT.sync_scope(Some(self), f)
    }

    /// Returns the key of the innermost scope, unless that has none or there is no scope.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Option::clone).ok().flatten()
    }
}

impl<F: Future> Scoped<F> {
    /// Runs a future in the scope of this key, or in one that has none, where `None` hides the key of
    /// an outer scope.
    ///
    /// # Examples
    ///
    /// The side call of a conversation, such as its title, leaves the scope:
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
        Self {
            future: CURRENT.scope(key, future),
        }
    }

    /// Returns the key of the scope, which then has none.
    fn take_key(self: Pin<&mut Self>) -> Option<AffinityKey> {
        self.project().future.take_value().flatten()
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx)
    }
}

impl KeyExtractor for FromScope {
    #[inline]
    fn extract(&self, _: RequestHead<'_>) -> Option<AffinityKey> {
        AffinityKey::current()
    }
}

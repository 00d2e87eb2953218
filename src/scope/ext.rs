//! Methods that give a future a scope.

use super::context::Scope;
use super::future::Scoped;
use crate::{AffinityKey, ParentKey};

/// Gives a future a scope, as `tracing`'s `Instrument` gives it a span.
///
/// A spawned task does not inherit the scope, so give it the scope with one of these methods.
///
/// # Examples
///
/// ```
/// use tokio::task::JoinSet;
/// use tower_session_affinity::{AffinityFutureExt, AffinityKey};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # async fn call() -> Option<AffinityKey> { AffinityKey::current() }
/// let handler = async {
///     let mut calls = JoinSet::new();
///     calls.spawn(call().in_current_affinity());
///     calls.join_all().await
/// };
/// let key = AffinityKey::from_static("chat-7");
/// assert_eq!(handler.in_affinity(key.clone()).await, [Some(key)]);
/// # }
/// ```
pub trait AffinityFutureExt: Future + Sized {
    /// Runs the future in the scope in which this method is called, with its key and its parent, if any.
    ///
    /// What counts is where the method is *called*. In the callback of an `on_upgrade` it is called outside the
    /// scope: use [`carry_async`](crate::carry_async) there.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{AffinityFutureExt, AffinityKey};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tokio::task::JoinError> {
    /// # async fn call() -> Option<AffinityKey> { AffinityKey::current() }
    /// let handler = async { tokio::spawn(call().in_current_affinity()).await };
    /// let key = AffinityKey::from_static("chat-7");
    /// assert_eq!(key.clone().scope(handler).await?, Some(key));
    /// # Ok(())
    /// # }
    /// ```
    fn in_current_affinity(self) -> Scoped<Self> {
        Scoped::within(Scope::current(), self)
    }

    /// Runs the future in the scope of this key, like [`AffinityKey::scope`].
    fn in_affinity(self, key: AffinityKey) -> Scoped<Self> {
        key.scope(self)
    }

    /// Runs the future as a sub-agent, in the scope of this key.
    ///
    /// Its parent is the key of the scope in which this method is called.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{AffinityFutureExt, AffinityKey, ParentKey};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let research = async { (AffinityKey::current(), ParentKey::current()) };
    /// let agent = async { research.in_child_affinity(AffinityKey::from_static("research-1")).await };
    ///
    /// let (own, parent) = AffinityKey::from_static("chat-7").scope(agent).await;
    /// assert_eq!(own, Some(AffinityKey::from_static("research-1")));
    /// assert_eq!(parent, Some(ParentKey(AffinityKey::from_static("chat-7"))));
    /// # }
    /// ```
    fn in_child_affinity(self, key: AffinityKey) -> Scoped<Self> {
        let parent = AffinityKey::current().map(ParentKey);
        Scoped::within(Scope::with_both(Some(key), parent), self)
    }
}

impl<F: Future> AffinityFutureExt for F {}

//! The parent's key of the current task.

use super::context::{self, Scope};
use super::future::Scoped;
use crate::ParentKey;

impl ParentKey {
    /// Runs a future in a scope with this parent; the key stays that of the scope around it.
    ///
    /// [`in_child_affinity`](crate::AffinityFutureExt::in_child_affinity) sets the parent and the key at once.
    /// Needs the feature `scope`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{AffinityKey, ParentKey};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let parent = ParentKey(AffinityKey::from_static("chat-7"));
    /// let seen = parent.clone().scope(async { ParentKey::current() }).await;
    /// assert_eq!(seen, Some(parent));
    /// # }
    /// ```
    pub fn scope<F: Future>(self, future: F) -> Scoped<F> {
        Scoped::within(Scope::with_parent(self), future)
    }

    /// Runs a closure in a scope with this parent; the key stays that of the scope around it.
    ///
    /// Needs the feature `scope`.
    pub fn sync_scope<F, R>(self, f: F) -> R
    where
        F: FnOnce() -> R,
    {
        let mut scope = Scope::with_parent(self);
        let _entered = scope.enter();
        f()
    }

    /// Returns the parent of the innermost scope that sets one, unless a scope without a key is inside it.
    ///
    /// Needs the feature `scope`.
    #[must_use]
    pub fn current() -> Option<Self> {
        context::parent()
    }
}

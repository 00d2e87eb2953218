//! The key of the current task: from an inbound request to the calls made while it is handled.

mod body;
mod carry;
mod context;
mod ext;
mod future;
mod layer;
mod parent;
mod service;

use crate::{AffinityKey, KeyExtractor, RequestHead};

use context::Scope;

pub use body::ScopedBody;
pub use carry::{carry, carry_async};
pub use ext::AffinityFutureExt;
pub use future::Scoped;
pub use layer::AffinityScopeLayer;
pub use service::{AffinityScope, ScopedResponseFuture};

/// Takes the key of the scope that the call is made in.
///
/// [`AffinityScopeLayer`] or [`AffinityKey::scope`] opens a scope.
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
///
/// The key is read when the layer's `call` runs. So put the layer above a `tower::buffer::Buffer`: the
/// buffer's worker makes the calls below it in a task of its own, outside every scope.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromScope;

impl AffinityKey {
    /// Runs a future in the scope of this key.
    ///
    /// An inner scope hides the outer one while it runs. [`Scoped`] says what is in the scope. Needs the feature
    /// `scope`.
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
    /// A future that the closure runs with tokio's `block_on` is in the scope. Tasks that the runtime polls
    /// meanwhile are not. Needs the feature `scope`.
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
        let mut scope = Scope::with_key(Some(self));
        let _entered = scope.enter();
        f()
    }

    /// Returns the key of the running task's innermost scope, if it has one.
    ///
    /// There is no scope while a thread's locals are destroyed. Needs the feature `scope`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::AffinityKey;
    ///
    /// assert_eq!(AffinityKey::current(), None);
    /// let key = AffinityKey::from_static("chat-7").sync_scope(AffinityKey::current);
    /// assert_eq!(key, Some(AffinityKey::from_static("chat-7")));
    /// ```
    #[must_use]
    pub fn current() -> Option<Self> {
        context::key()
    }
}

impl KeyExtractor for FromScope {
    #[inline]
    fn extract(&self, _: RequestHead<'_>) -> Option<AffinityKey> {
        AffinityKey::current()
    }
}

//! A bounded memory in this process.

use std::fmt;
use std::time::Duration;

use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::{Session, Token, TokenStore};

/// Remembers the tokens of this process, bounded in number and in time.
///
/// At the bound, the session that was idle for longest makes room for a new one. Clones share what
/// they remember.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use tower_affinity_token::{AffinityTokenLayer, MemoryStore, header};
///
/// let store = MemoryStore::bounded(1_000, Duration::from_secs(600));
/// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN).store(store.clone());
/// assert_eq!(store.len(), 0);
/// ```
#[derive(Clone)]
pub struct MemoryStore(Cache<Session, Token>);

impl MemoryStore {
    /// The sessions that are remembered by default.
    pub const MAX_SESSIONS: usize = 100_000;
    /// How long a session is remembered by default after its last request: an hour.
    pub const MAX_IDLE: Duration = Duration::from_secs(3600);

    /// Remembers up to 100,000 sessions, each until it was idle for an hour.
    #[must_use]
    pub fn new() -> Self {
        Self::bounded(Self::MAX_SESSIONS, Self::MAX_IDLE)
    }

    /// Remembers up to `max_sessions`, each until it was idle for `max_idle`.
    ///
    /// # Panics
    ///
    /// If `max_idle` is more than a thousand years.
    #[must_use]
    pub fn bounded(max_sessions: usize, max_idle: Duration) -> Self {
        let cache = Cache::builder()
            .max_capacity(max_sessions.try_into().unwrap_or(u64::MAX))
            .time_to_idle(max_idle)
            // The default policy turns newcomers away in favour of sessions that were busy once.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self(cache)
    }

    /// Returns how many sessions are remembered, after the evictions that are due.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.run_pending_tasks();
        self.0.entry_count().try_into().unwrap_or(usize::MAX)
    }

    /// Whether no session is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenStore for MemoryStore {
    fn get(&self, session: &Session) -> Option<Token> {
        self.0.get(session)
    }

    fn put(&self, session: &Session, token: Token) {
        // Many gateways repeat the token on every answer, and reading is cheaper than writing.
        if self.0.get(session).as_ref() == Some(&token) {
            return;
        }
        // Not `insert`, which could come between another's comparison and removal.
        let put = self.0.entry_by_ref(session);
        put.and_compute_with(|_| Op::Put(token));
    }

    fn forget(&self, session: &Session, token: &Token) {
        let entry = self.0.entry_by_ref(session);
        entry.and_compute_with(|current| match current {
            Some(current) if current.value() == token => Op::Remove,
            _ => Op::Nop,
        });
    }
}

/// Shows the number of sessions alone.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("sessions", &self.0.entry_count())
            .finish_non_exhaustive()
    }
}

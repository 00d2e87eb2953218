//! A bounded memory in this process.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
pub struct MemoryStore {
    tokens: Cache<Session, Token>,
    /// Held while a token is changed, so that no change comes between a comparison and a removal.
    // `Cache::entry` has locks of its own, which moka 0.12.16 leaks where two threads meet at one key.
    change: Arc<Mutex<()>>,
}

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
        let tokens = Cache::builder()
            .max_capacity(max_sessions.try_into().unwrap_or(u64::MAX))
            .time_to_idle(max_idle)
            // The default policy turns newcomers away in favour of sessions that were busy once.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self {
            tokens,
            change: Arc::default(),
        }
    }

    /// Returns how many sessions are remembered, after the evictions that are due.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.run_pending_tasks();
        self.tokens.entry_count().try_into().unwrap_or(usize::MAX)
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
        self.tokens.get(session)
    }

    fn put(&self, session: &Session, token: Token) {
        // Many gateways repeat the token on every answer, and reading is cheaper than writing.
        if self.tokens.get(session).as_ref() == Some(&token) {
            return;
        }
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        self.tokens.insert(session.clone(), token);
    }

    fn forget(&self, session: &Session, token: &Token) {
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tokens.get(session).as_ref() == Some(token) {
            self.tokens.invalidate(session);
        }
    }
}

/// Shows the number of sessions alone.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("sessions", &self.tokens.entry_count())
            .finish_non_exhaustive()
    }
}

//! The store.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use redis::Client;
use tokio::task::AbortHandle;
use tower_affinity_token::{MemoryStore, Session, Token, TokenStore};

use crate::changes::Kind;
use crate::shared::Shared;
use crate::sync::Sync;

/// A store in the memory of this process that shares each change with other processes through Redis.
///
/// Requests only read and change memory, so none waits for Redis, and none fails without it. A background task
/// exchanges changes. It reconnects for as long as a clone of this store exists, and ends with the last one;
/// changes that it has not sent by then are lost. Clones share everything.
///
/// # Examples
///
/// ```no_run
/// use tower_affinity_token::{AffinityTokenLayer, header};
/// use tower_affinity_token_redis::{RedisTokenStore, redis};
///
/// # #[tokio::main]
/// # async fn main() -> redis::RedisResult<()> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let store = RedisTokenStore::builder(client).prefix("edge:tokens:").start();
/// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN).store(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisTokenStore {
    shared: Arc<Shared>,
    _task: Arc<Task>,
}

/// Sets the bounds and the prefix of a [`RedisTokenStore`].
#[derive(Clone)]
#[must_use = "nothing is stored before `start`"]
pub struct Builder {
    client: Client,
    prefix: String,
    max_sessions: usize,
    max_bytes: usize,
    max_idle: Duration,
}

/// Ends the task when it is dropped.
struct Task(AbortHandle);

impl RedisTokenStore {
    /// The default prefix of keys and of the channel.
    pub const PREFIX: &str = "tower-affinity-token:";

    /// The most sessions whose changes wait for Redis. Beyond that, the change that has waited longest is
    /// dropped.
    pub const MAX_WAITING: usize = crate::changes::Changes::MAX_WAITING;

    /// Creates a builder with the bounds of [`MemoryStore::new`] and the prefix [`PREFIX`](Self::PREFIX).
    pub fn builder(client: Client) -> Builder {
        Builder {
            client,
            prefix: Self::PREFIX.to_owned(),
            max_sessions: MemoryStore::MAX_SESSIONS,
            max_bytes: MemoryStore::MAX_BYTES,
            max_idle: MemoryStore::MAX_IDLE,
        }
    }

    /// Whether the store is connected to Redis and has loaded what Redis had.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.is_connected()
    }

    /// Returns the number of sessions in this process, after the evictions that are due.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.memory.len()
    }

    /// Whether no session is remembered in this process.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of sessions with a change of this process that Redis has not confirmed yet.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        self.shared.changes().len()
    }

    /// Returns the number of changes dropped because [`MAX_WAITING`](Self::MAX_WAITING) others were waiting.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.changes().dropped()
    }
}

impl Builder {
    /// Sets the prefix of keys and of the channel; processes with the same prefix share their tokens.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the bounds in memory, as in [`MemoryStore::bounded`].
    ///
    /// Redis also forgets a session that is idle for `max_idle`.
    pub const fn bounded(
        mut self,
        max_sessions: usize,
        max_bytes: usize,
        max_idle: Duration,
    ) -> Self {
        self.max_sessions = max_sessions;
        self.max_bytes = max_bytes;
        self.max_idle = max_idle;
        self
    }

    /// Starts the store and returns at once, even if Redis cannot be reached.
    ///
    /// # Panics
    ///
    /// If called outside a tokio runtime with time and I/O enabled.
    #[must_use]
    pub fn start(self) -> RedisTokenStore {
        let memory = MemoryStore::bounded(self.max_sessions, self.max_bytes, self.max_idle);
        let shared = Arc::new(Shared::new(memory));
        // A random number: each `RandomState` has a random seed.
        let process = RandomState::new().hash_one(std::process::id());
        let sync = Sync::new(
            self.client,
            shared.clone(),
            self.prefix,
            process,
            self.max_idle,
        );
        let task = Arc::new(Task(tokio::spawn(sync.run()).abort_handle()));
        RedisTokenStore {
            shared,
            _task: task,
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl TokenStore for RedisTokenStore {
    fn get(&self, session: &Session) -> Option<Token> {
        self.shared.memory.get(session)
    }

    fn put(&self, session: &Session, token: Token) {
        self.shared.change(session, Kind::Put, token);
    }

    fn put_first(&self, session: &Session, token: Token) -> bool {
        self.shared.change(session, Kind::PutFirst, token)
    }

    fn forget(&self, session: &Session, token: &Token) {
        self.shared.change(session, Kind::Forget, token.clone());
    }
}

/// Shows only counts, no key or token.
impl fmt::Debug for RedisTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTokenStore")
            .field("is_connected", &self.is_connected())
            .field("unconfirmed", &self.unconfirmed())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

/// Does not show the address, which can contain a password.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("prefix", &self.prefix)
            .field("max_sessions", &self.max_sessions)
            .field("max_bytes", &self.max_bytes)
            .field("max_idle", &self.max_idle)
            .finish_non_exhaustive()
    }
}

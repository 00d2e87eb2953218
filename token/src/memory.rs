//! The default store: bounded, in this process.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hashlink::LinkedHashMap;
use hashlink::linked_hash_map::RawEntryMut;
use http::HeaderValue;

use crate::{Session, Token, TokenStore};

/// A store in the memory of this process, with bounds on sessions, bytes and idle time.
///
/// At a bound, the least recently used session is evicted. A session is forgotten when it has been idle for
/// too long or when the [`lifetime`](Token::lifetime) of its token has ended, whichever comes first. Clones
/// share their tokens.
///
/// A session counts for the bytes of its text and its token, plus [`SESSION_BYTES`](Self::SESSION_BYTES) of
/// overhead.
///
/// Needs the feature `memory`, which is on by default.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use tower_affinity_token::{AffinityTokenLayer, MemoryStore, header};
///
/// let store = MemoryStore::bounded(1_000, 1024 * 1024, Duration::from_secs(600));
/// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
///     .store(store.clone());
/// assert_eq!(store.len(), 0);
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Shared>);

struct Shared {
    max_sessions: usize,
    max_bytes: usize,
    max_idle: Duration,
    /// Times are counted from here: such a time takes 8 bytes, an `Instant` 16.
    start: Instant,
    /// A copy of the map's, so that sessions are hashed outside the lock.
    hasher: RandomState,
    // One lock: a request holds it only for a look-up.
    memory: Mutex<Memory>,
}

struct Memory {
    /// Ordered by last use.
    sessions: LinkedHashMap<Session, Remembered, RandomState>,
    bytes: usize,
}

/// A time since the start of the store.
type Nanoseconds = u64;

/// A token, and when its session was last used.
enum Remembered {
    UntilIdle {
        token: HeaderValue,
        used: Nanoseconds,
    },
    /// Boxed, so that only tokens with a lifetime pay for it.
    UntilEnd(Box<Dated>),
}

struct Dated {
    token: HeaderValue,
    used: Nanoseconds,
    end: Nanoseconds,
}

impl MemoryStore {
    /// The most sessions that are remembered by default: 100,000.
    pub const MAX_SESSIONS: usize = 100_000;
    /// The most bytes that the sessions take by default: 64 MiB.
    pub const MAX_BYTES: usize = 64 * 1024 * 1024;
    /// How long a session is remembered after its last request by default: one hour.
    pub const MAX_IDLE: Duration = Duration::from_secs(3600);
    /// The bytes that a session counts for in addition to its text and its token: an upper bound of the
    /// overhead.
    pub const SESSION_BYTES: usize = 192;

    /// The most idle sessions that one call evicts.
    const IDLE_EVICTIONS: usize = 4;

    /// Creates a store of up to 100,000 sessions in up to 64 MiB, each kept until it is idle for an hour.
    #[must_use]
    pub fn new() -> Self {
        Self::bounded(Self::MAX_SESSIONS, Self::MAX_BYTES, Self::MAX_IDLE)
    }

    /// Creates a store of up to `max_sessions` in up to `max_bytes`, each kept until it is idle for `max_idle`.
    #[must_use]
    pub fn bounded(max_sessions: usize, max_bytes: usize, max_idle: Duration) -> Self {
        let hasher = RandomState::new();
        Self(Arc::new(Shared {
            max_sessions,
            max_bytes,
            max_idle,
            start: Instant::now(),
            memory: Mutex::new(Memory {
                sessions: LinkedHashMap::with_hasher(hasher.clone()),
                bytes: 0,
            }),
            hasher,
        }))
    }

    /// Returns the number of sessions, after the evictions that are due.
    #[must_use]
    pub fn len(&self) -> usize {
        self.settled().sessions.len()
    }

    /// Whether no session is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes of all sessions, after the evictions that are due.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.settled().bytes
    }

    /// Returns each session with its token and the time of its last use, the least recently used first.
    ///
    /// The lifetime of each token is what remains of it. Use this in a store that also keeps its tokens
    /// elsewhere. Requests wait until the copy is complete.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(Session, Token, Instant)> {
        let memory = self.settled();
        let now = self.0.now();
        let copy = |(session, remembered): (&Session, &Remembered)| {
            let (used, end) = remembered.times();
            let lifetime =
                (end != Nanoseconds::MAX).then(|| Duration::from_nanos(end.saturating_sub(now)));
            let token = Token::from_checked(remembered.token().clone()).with_lifetime(lifetime);
            let used = self.0.start + Duration::from_nanos(used);
            (session.clone(), token, used)
        };
        memory.sessions.iter().map(copy).collect()
    }

    fn settled(&self) -> MutexGuard<'_, Memory> {
        let now = self.0.now();
        let mut memory = self.0.lock();
        let Memory { sessions, bytes } = &mut *memory;
        sessions.retain(|session, remembered| {
            let is_over = self.0.is_over(remembered, now);
            if is_over {
                *bytes -= size(session, remembered);
            }
            !is_over
        });
        memory
    }

    /// Remembers the token, unless there is one already and `replaces` is false. Returns whether it did.
    fn remember(&self, session: &Session, token: Token, replaces: bool) -> bool {
        let shared = &*self.0;
        let now = shared.now();
        let hash = shared.hasher.hash_one(session);
        let remembered = Remembered::new(token, now);
        let mut memory = shared.lock();
        let Memory { sessions, bytes } = &mut *memory;
        let entry = sessions.raw_entry_mut();
        match entry.from_key_hashed_nocheck(hash, session) {
            RawEntryMut::Occupied(mut entry) => {
                entry.to_back();
                let old = entry.get_mut();
                if !replaces && !shared.is_over(old, now) {
                    *old.used() = now;
                    return false;
                }
                *bytes += remembered.token().len();
                *bytes -= std::mem::replace(old, remembered).token().len();
            }
            RawEntryMut::Vacant(entry) => {
                *bytes += size(session, &remembered);
                entry.insert_hashed_nocheck(hash, session.clone(), remembered);
            }
        }
        shared.evict_idle(&mut memory, now);
        while memory.sessions.len() > shared.max_sessions || memory.bytes > shared.max_bytes {
            memory.evict_first();
        }
        true
    }
}

impl Shared {
    fn now(&self) -> Nanoseconds {
        nanoseconds(self.start.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self, remembered: &Remembered, now: Nanoseconds) -> bool {
        let (used, end) = remembered.times();
        now >= end || now.saturating_sub(used) >= nanoseconds(self.max_idle)
    }

    /// Evicts expired sessions, a few at a time so that no single request pays for all of them.
    fn evict_idle(&self, memory: &mut Memory, now: Nanoseconds) {
        for _ in 0..MemoryStore::IDLE_EVICTIONS {
            match memory.sessions.front() {
                Some((_, first)) if self.is_over(first, now) => memory.evict_first(),
                _ => break,
            }
        }
    }
}

impl Memory {
    fn evict_first(&mut self) {
        if let Some((session, remembered)) = self.sessions.pop_front() {
            self.bytes -= size(&session, &remembered);
        }
    }

    fn remove(&mut self, hash: u64, session: &Session) {
        let entry = self.sessions.raw_entry_mut();
        if let RawEntryMut::Occupied(entry) = entry.from_key_hashed_nocheck(hash, session) {
            let (session, remembered) = entry.remove_entry();
            self.bytes -= size(&session, &remembered);
        }
    }
}

impl Remembered {
    fn new(token: Token, now: Nanoseconds) -> Self {
        let lifetime = token.lifetime();
        let (token, used) = (HeaderValue::from(token), now);
        match lifetime {
            None => Self::UntilIdle { token, used },
            Some(lifetime) => {
                let end = now.saturating_add(nanoseconds(lifetime));
                Self::UntilEnd(Box::new(Dated { token, used, end }))
            }
        }
    }

    fn token(&self) -> &HeaderValue {
        match self {
            Self::UntilIdle { token, .. } => token,
            Self::UntilEnd(dated) => &dated.token,
        }
    }

    fn used(&mut self) -> &mut Nanoseconds {
        match self {
            Self::UntilIdle { used, .. } => used,
            Self::UntilEnd(dated) => &mut dated.used,
        }
    }

    /// Returns when the session was last used and when its token's lifetime ends.
    fn times(&self) -> (Nanoseconds, Nanoseconds) {
        match self {
            Self::UntilIdle { used, .. } => (*used, Nanoseconds::MAX),
            Self::UntilEnd(dated) => (dated.used, dated.end),
        }
    }
}

/// Saturates at about 584 years.
fn nanoseconds(duration: Duration) -> Nanoseconds {
    duration.as_nanos().try_into().unwrap_or(Nanoseconds::MAX)
}

fn size(session: &Session, remembered: &Remembered) -> usize {
    session.as_bytes().len() + remembered.token().len() + MemoryStore::SESSION_BYTES
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenStore for MemoryStore {
    fn get(&self, session: &Session) -> Option<Token> {
        let shared = &*self.0;
        let now = shared.now();
        let hash = shared.hasher.hash_one(session);
        let mut memory = shared.lock();
        let entry = memory.sessions.raw_entry_mut();
        if let RawEntryMut::Occupied(mut entry) = entry.from_key_hashed_nocheck(hash, session) {
            if !shared.is_over(entry.get(), now) {
                entry.to_back();
                let remembered = entry.into_mut();
                *remembered.used() = now;
                return Some(Token::from_checked(remembered.token().clone()));
            }
            let (session, remembered) = entry.remove_entry();
            memory.bytes -= size(&session, &remembered);
        }
        shared.evict_idle(&mut memory, now);
        None
    }

    fn put(&self, session: &Session, token: Token) {
        self.remember(session, token, true);
    }

    fn put_first(&self, session: &Session, token: Token) -> bool {
        self.remember(session, token, false)
    }

    fn forget(&self, session: &Session, token: &Token) {
        let hash = self.0.hasher.hash_one(session);
        let mut memory = self.0.lock();
        let entry = memory.sessions.raw_entry();
        let found = entry.from_key_hashed_nocheck(hash, session);
        if found.is_some_and(|(_, remembered)| remembered.token() == token.as_bytes()) {
            memory.remove(hash, session);
        }
    }
}

/// Shows only the number of sessions.
impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("sessions", &self.0.lock().sessions.len())
            .finish_non_exhaustive()
    }
}

//! Which tokens failed or were forgotten lately, so that a dead one is neither kept nor revived.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{Session, Token};

/// What the services of a layer know of the tokens that it sent. Empty where nothing went wrong.
///
/// It is beside the store, so that it holds for any store.
#[derive(Default)]
pub(crate) struct Health {
    hasher: RandomState,
    /// The number of tokens that were forgotten so far: the time of this record.
    forgotten: AtomicU64,
    /// Whether a token has failures, so that a success need not look where none has.
    has_failures: AtomicBool,
    /// Read while a token is put into the store and written while one is forgotten there, so that
    /// neither comes between the other's look and its change.
    records: RwLock<Records>,
}

/// When a request was sent, in forgotten tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// Two tokens of two sessions have one once in 10^19 times; then one of them starts anew too early.
type Fingerprint = u64;

#[derive(Default)]
struct Records {
    /// The failures in a row of requests that carried the token.
    failures: Recent<u32>,
    /// When the token was forgotten.
    forgotten: Recent<Moment>,
}

/// A map that holds at least the newest hundred thousand entries, and at most twice as many.
struct Recent<V> {
    young: Fingerprints<V>,
    old: Fingerprints<V>,
}

type Fingerprints<V> = HashMap<Fingerprint, V, BuildHasherDefault<AsItIs>>;

/// A fingerprint is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Health {
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        Moment(self.forgotten.load(Ordering::Relaxed))
    }

    /// Puts a token that was issued to a request of this moment, unless it was forgotten since.
    pub(crate) fn put<R>(
        &self,
        sent: Moment,
        session: &Session,
        token: Token,
        put: impl FnOnce(Token) -> R,
    ) -> Option<R> {
        // What failed before it was issued anew does not count.
        self.succeed(session, &token);
        let records = self.read();
        let forgotten = &records.forgotten;
        let is_stale = !forgotten.is_empty()
            && forgotten
                .get(self.fingerprint(session, &token))
                .is_some_and(|forgotten| forgotten > sent);
        (!is_stale).then(|| put(token))
    }

    /// Forgets a token for good: no answer to a request that was sent before brings it back.
    pub(crate) fn forget(&self, session: &Session, token: &Token, forget: impl FnOnce()) {
        let mut records = self.write();
        self.forget_in(&mut records, self.fingerprint(session, token), forget);
    }

    /// Counts a failure, and forgets the token at the limit. Returns whether it was reached.
    pub(crate) fn fail(
        &self,
        session: &Session,
        token: &Token,
        limit: u32,
        forget: impl FnOnce(),
    ) -> bool {
        let fingerprint = self.fingerprint(session, token);
        let mut records = self.write();
        let failures = records.failures.get(fingerprint).unwrap_or(0) + 1;
        let is_over = failures >= limit;
        if is_over {
            self.forget_in(&mut records, fingerprint, forget);
        } else {
            records.failures.insert(fingerprint, failures);
            self.has_failures.store(true, Ordering::Relaxed);
        }
        is_over
    }

    /// Begins to count anew.
    #[inline]
    pub(crate) fn succeed(&self, session: &Session, token: &Token) {
        if self.has_failures.load(Ordering::Relaxed) {
            let fingerprint = self.fingerprint(session, token);
            let has_failed = self.read().failures.get(fingerprint).is_some();
            if has_failed {
                self.settle(&mut self.write(), fingerprint);
            }
        }
    }

    /// Runs this while no token is put or forgotten.
    pub(crate) fn alone<R>(&self, change: impl FnOnce() -> R) -> R {
        let _records = self.write();
        change()
    }

    fn forget_in(&self, records: &mut Records, fingerprint: Fingerprint, forget: impl FnOnce()) {
        let moment = Moment(self.forgotten.fetch_add(1, Ordering::Relaxed) + 1);
        records.forgotten.insert(fingerprint, moment);
        self.settle(records, fingerprint);
        forget();
    }

    fn settle(&self, records: &mut Records, fingerprint: Fingerprint) {
        records.failures.remove(fingerprint);
        let has_failures = !records.failures.is_empty();
        self.has_failures.store(has_failures, Ordering::Relaxed);
    }

    fn read(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Records> {
        self.records.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn fingerprint(&self, session: &Session, token: &Token) -> Fingerprint {
        self.hasher.hash_one((session, token.as_bytes()))
    }
}

impl<V: Copy> Recent<V> {
    const GENERATION: usize = 100_000;

    fn get(&self, fingerprint: Fingerprint) -> Option<V> {
        let found = self.young.get(&fingerprint);
        // An empty map is not hashed for.
        found.or_else(|| self.old.get(&fingerprint)).copied()
    }

    fn insert(&mut self, fingerprint: Fingerprint, value: V) {
        if self.young.len() >= Self::GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(fingerprint, value);
    }

    fn remove(&mut self, fingerprint: Fingerprint) {
        self.young.remove(&fingerprint);
        self.old.remove(&fingerprint);
    }

    fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }
}

// Derived, it would ask that a value has a default.
impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
        }
    }
}

impl Hasher for AsItIs {
    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a fingerprint is one number");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
    }
}

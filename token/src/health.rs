//! Records which tokens failed or were forgotten recently, so that a dead one is neither kept nor revived.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::{Session, Token};

/// What the services of a layer know about the tokens that they sent. Empty while nothing fails.
///
/// It is separate from the store, so that it works with any store.
#[derive(Default)]
pub(crate) struct Health {
    hasher: RandomState,
    /// The number of tokens forgotten so far, which serves as the clock of these records.
    forgotten: AtomicU64,
    /// Whether any token has failures; if none has, a success needs no look-up.
    has_failures: AtomicBool,
    /// Locked for reading while a token is put into the store and for writing while one is forgotten there,
    /// so that neither happens between the other's check and its change.
    records: RwLock<Records>,
}

/// When a request was sent, counted in forgotten tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// Tokens of two sessions share one once in 10^19 times; then one of the sessions starts over too early.
type Fingerprint = u64;

#[derive(Default)]
struct Records {
    /// The consecutive failures of requests that carried the token.
    failures: Recent<u32>,
    /// When the token was forgotten.
    forgotten: Recent<Moment>,
}

/// A map of at least the newest 100,000 entries, and at most twice as many.
struct Recent<V> {
    young: Fingerprints<V>,
    old: Fingerprints<V>,
}

type Fingerprints<V> = HashMap<Fingerprint, V, BuildHasherDefault<AsItIs>>;

/// The hasher of fingerprints, which are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Health {
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        Moment(self.forgotten.load(Ordering::Relaxed))
    }

    /// Puts a token that was issued to a request sent at this moment, unless it was forgotten since.
    pub(crate) fn put<R>(
        &self,
        sent: Moment,
        session: &Session,
        token: Token,
        put: impl FnOnce(Token) -> R,
    ) -> Option<R> {
        // Failures from before it was issued again do not count.
        self.succeed(session, &token);
        let records = self.read();
        let forgotten = &records.forgotten;
        let is_stale = !forgotten.is_empty()
            && forgotten
                .get(self.fingerprint(session, &token))
                .is_some_and(|forgotten| forgotten > sent);
        (!is_stale).then(|| put(token))
    }

    /// Forgets a token for good: no response to an earlier request brings it back.
    pub(crate) fn forget(&self, session: &Session, token: &Token, forget: impl FnOnce()) {
        let mut records = self.write();
        self.forget_in(&mut records, self.fingerprint(session, token), forget);
    }

    /// Counts a failure, and forgets the token at the limit. Returns whether the limit was reached.
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

    /// Resets the count of failures.
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

    /// Runs `change` while no token is put or forgotten.
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
        // `HashMap` does not hash when it is empty.
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

// A derived impl would require `V: Default`.
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

//! Counts of what the replicas saw.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderMap;

use crate::keys::AFFINITY;
use crate::outcome::MOST_DESCRIBED;
use crate::wire::EXPECTED;

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) arrived: AtomicU64,
    pub(crate) wrong_keys: AtomicU64,
    /// Broken request bodies that arrived as if complete.
    pub(crate) accepted_as_complete: AtomicU64,
    /// Requests that a replica gave up on, long after their callers had gone.
    pub(crate) orphaned: AtomicU64,
    /// Requests that a replica is still working on.
    pub(crate) running: AtomicU64,
    described: Mutex<Vec<String>>,
}

/// Counts a request as running until it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Arc<Ledger>);

impl Ledger {
    /// Counts a request and compares its key with the expected one.
    pub(crate) fn enter(self: &Arc<Self>, headers: &HeaderMap) -> Running {
        self.arrived.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        if !headers.get_all(AFFINITY).iter().eq(headers.get(EXPECTED)) {
            self.wrong_keys.fetch_add(1, Ordering::Relaxed);
            self.describe(headers);
        }
        Running(self.clone())
    }

    fn describe(&self, headers: &HeaderMap) {
        let mut described = self.lock();
        if described.len() < MOST_DESCRIBED {
            let found: Vec<_> = headers.get_all(AFFINITY).iter().collect();
            let expected: Vec<_> = headers.get(EXPECTED).into_iter().collect();
            described.push(format!("wrong key: expected {expected:?}, found {found:?}"));
        }
    }

    /// Returns descriptions of the first wrong keys.
    pub(crate) fn described(&self) -> Vec<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.described
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    pub(crate) fn mark_orphaned(&self) {
        self.0.orphaned.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn mark_accepted_as_complete(&self) {
        self.0.accepted_as_complete.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

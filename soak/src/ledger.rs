//! What the replicas saw of the requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName};

use crate::keys::AFFINITY;
use crate::tally::TOLD;

/// The number of a request, which its answer repeats.
pub(crate) const ID: HeaderName = HeaderName::from_static("x-soak-id");

/// The key with which a request must arrive, if with any.
pub(crate) const EXPECTED: HeaderName = HeaderName::from_static("x-soak-expected");

/// Marks a request whose body must not arrive as a whole one.
pub(crate) const BROKEN: HeaderName = HeaderName::from_static("x-soak-broken");

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) arrived: AtomicU64,
    pub(crate) wrong_keys: AtomicU64,
    /// Bodies that their caller broke, and that arrived as if they had ended.
    pub(crate) made_whole: AtomicU64,
    /// Requests that went on long after their callers had gone.
    pub(crate) left: AtomicU64,
    /// Requests that a replica still works on.
    pub(crate) running: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

/// Counts a request as running until it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Arc<Ledger>);

impl Ledger {
    /// Compares the key of a request that arrived with the one that it must have.
    pub(crate) fn enter(self: &Arc<Self>, headers: &HeaderMap) -> Running {
        self.arrived.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        if !headers.get_all(AFFINITY).iter().eq(headers.get(EXPECTED)) {
            self.wrong_keys.fetch_add(1, Ordering::Relaxed);
            self.tell(headers);
        }
        Running(self.clone())
    }

    fn tell(&self, headers: &HeaderMap) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() < TOLD {
            let lines: Vec<_> = headers.get_all(AFFINITY).iter().collect();
            wrong.push(format!(
                "wrong key: {lines:?} instead of {:?}",
                headers.get(EXPECTED)
            ));
        }
    }

    /// Returns the first wrong keys in words.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.clone()
    }
}

impl Running {
    pub(crate) fn outlived_its_caller(&self) {
        self.0.left.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended_whole(&self) {
        self.0.made_whole.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

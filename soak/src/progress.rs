//! The progress of the load, and when it ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::memory::{Process, Samples};

/// Memory is measured after this many requests.
const SAMPLE: u64 = 10;

/// Shared by all connections: the requests so far, and the gateway's memory over them.
#[derive(Debug)]
pub(crate) struct Progress {
    begin: Instant,
    longest: Duration,
    /// The load ends after this many requests, or after `longest` if that is earlier.
    most: Option<u64>,
    requests: AtomicU64,
    process: Process,
    samples: Mutex<Samples>,
}

impl Progress {
    pub(crate) fn begin(process: Process, longest: Duration, most: Option<u64>) -> Self {
        Self {
            begin: Instant::now(),
            longest,
            most,
            requests: AtomicU64::new(0),
            process,
            samples: Mutex::default(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        let requests = self.requests.load(Ordering::Relaxed);
        self.elapsed() >= self.longest || self.most.is_some_and(|most| requests >= most)
    }

    /// Counts a finished request, and measures memory after every tenth.
    pub(crate) fn add(&self) {
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        if before % SAMPLE == 0 {
            self.lock().add(&self.process);
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    pub(crate) fn samples(&self) -> Samples {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

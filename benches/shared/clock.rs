//! A clock that other programs on the machine do not drive.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Counts the time that this thread has a core for, where the system tells it (Linux), else the time
/// that passes.
pub(crate) struct Clock {
    started: Instant,
    had: Option<Duration>,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            had: core_time(),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        match (self.had, core_time()) {
            (Some(had), Some(has)) => has.saturating_sub(had),
            _ => self.started.elapsed(),
        }
    }
}

fn core_time() -> Option<Duration> {
    // Linux brings the count up to date when a thread gives way, else at most every millisecond.
    thread::yield_now();
    let times = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(times.split(' ').next()?.parse().ok()?))
}

//! A clock that other programs on the machine do not disturb.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Measures the time that this thread has a core for, if the system reports it (Linux), and otherwise
/// wall-clock time.
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
    // Linux updates the count when a thread yields, and otherwise at most every millisecond.
    thread::yield_now();
    let times = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(times.split(' ').next()?.parse().ok()?))
}

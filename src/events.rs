//! The events of the feature `tracing`.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::Outcome;
use crate::outcome::Carrier;

const TARGET: &str = "tower_session_affinity";

/// The shortest time between two warnings of one kind: without it a misconfigured host could fill a disk.
const PAUSE: Duration = Duration::from_secs(1);

/// Emits events, and at most one warning of each kind per [`PAUSE`].
///
/// Clones share their pauses, because a service may be cloned for each request.
pub(crate) struct Warnings(OnceLock<Arc<Mutex<Pauses>>>);

type Pauses = [Option<Pause>; Outcome::ALL.len()];

/// When a kind of warning was last emitted, and how many were suppressed since.
#[derive(Clone, Copy)]
struct Pause {
    since: Instant,
    left_out: u64,
}

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
type Instant = std::time::Instant;

/// Replaces the clock, which the platform does not have: every pause is over.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
#[derive(Clone, Copy)]
struct Instant;

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
impl Instant {
    const fn now() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the clock's method takes it")]
    const fn elapsed(self) -> Duration {
        PAUSE
    }
}

impl Warnings {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Emits the event of this outcome, unless it is a warning within its pause.
    pub(crate) fn report(&self, outcome: Outcome, carrier: Carrier<'_>, expects_key: bool) {
        let (header_name, body_field) = match carrier {
            Carrier::Header(name) => (Some(name.as_str()), None),
            #[cfg(feature = "body-field")]
            Carrier::Field(name) => (None, Some(name)),
            Carrier::Nothing => (None, None::<&str>),
        };
        let Some(reason) = warning(outcome, expects_key) else {
            tracing::trace!(
                target: TARGET,
                outcome = outcome.as_str(),
                header_name,
                body_field,
                "session affinity",
            );
            return;
        };
        if !tracing::enabled!(target: TARGET, tracing::Level::WARN) {
            return;
        }
        if let Some(left_out) = self.admit(outcome) {
            tracing::warn!(
                target: TARGET,
                outcome = outcome.as_str(),
                header_name,
                body_field,
                left_out,
                "no session affinity: {reason}",
            );
        }
    }

    /// Returns how many warnings of this kind were suppressed before this one, or `None` to suppress it.
    fn admit(&self, outcome: Outcome) -> Option<u64> {
        let mut pauses = self.shared().lock().unwrap_or_else(PoisonError::into_inner);
        let pause = &mut pauses[outcome as usize];
        if let Some(pause) = pause.as_mut().filter(|pause| pause.since.elapsed() < PAUSE) {
            pause.left_out += 1;
            return None;
        }
        let since = Instant::now();
        let begun = pause.replace(Pause { since, left_out: 0 });
        Some(begun.map_or(0, |pause| pause.left_out))
    }

    fn shared(&self) -> &Arc<Mutex<Pauses>> {
        self.0
            .get_or_init(|| Arc::new(Mutex::new([None; Outcome::ALL.len()])))
    }
}

/// Returns why the affinity is lost, unless a setting asks for that.
const fn warning(outcome: Outcome, expects_key: bool) -> Option<&'static str> {
    match outcome {
        Outcome::NoAuthority => Some("a setting needs the host, but the URI has no authority"),
        Outcome::MapFull => Some("the header map has no room for another name"),
        Outcome::TooLong => Some("the key is longer than the destination takes"),
        Outcome::InvalidKey => {
            Some("no source had a valid key, and at least one had an invalid one")
        }
        Outcome::NoKey if expects_key => Some("a key was expected, but no source had one"),
        _ => None,
    }
}

impl Clone for Warnings {
    fn clone(&self) -> Self {
        Self(OnceLock::from(Arc::clone(self.shared())))
    }
}

impl Default for Warnings {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warnings").finish_non_exhaustive()
    }
}

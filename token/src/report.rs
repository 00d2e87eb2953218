//! Where outcomes are reported.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "tracing")]
use std::sync::atomic::{AtomicU8, Ordering};

use http::HeaderName;

use crate::Outcome;

/// The hook of `.on_outcome`, and the events.
#[derive(Clone, Default)]
pub(crate) struct Report {
    pub(crate) hook: Option<Arc<dyn Fn(Outcome) + Send + Sync>>,
    /// A bit for each kind of outcome that was logged as a warning. Shared by all services of a layer.
    #[cfg(feature = "tracing")]
    warned: Arc<AtomicU8>,
}

impl Report {
    #[inline]
    pub(crate) fn tell(&self, outcome: Outcome, header_name: &HeaderName) {
        if let Some(hook) = &self.hook {
            hook(outcome);
        }
        #[cfg(feature = "tracing")]
        self.emit(outcome, header_name);
        #[cfg(not(feature = "tracing"))]
        let _ = header_name;
    }

    /// Emits the event; its fields are computed only if a subscriber wants its level.
    #[cfg(feature = "tracing")]
    fn emit(&self, outcome: Outcome, header_name: &HeaderName) {
        macro_rules! emit {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    target: "tower_affinity_token",
                    outcome = outcome.as_str(),
                    header_name = header_name.as_str(),
                    $message,
                )
            };
        }
        match outcome {
            Outcome::NoAuthority if self.is_first(1) => {
                emit!(warn, "no session token sent: the URI has no authority");
            }
            Outcome::MapFull if self.is_first(1 << 1) => {
                emit!(
                    warn,
                    "no session token sent: the header map has no room for another name"
                );
            }
            Outcome::InvalidToken if self.is_first(1 << 2) => {
                emit!(warn, "the response has a value that is not a valid token");
            }
            Outcome::InvalidKey if self.is_first(1 << 3) => {
                emit!(
                    warn,
                    "no session token sent: a source has a value that is not a valid key"
                );
            }
            Outcome::ForgottenStatus
            | Outcome::ForgottenClosed
            | Outcome::ForgottenExpired
            | Outcome::ForgottenFailures => emit!(debug, "session token forgotten"),
            _ => emit!(trace, "session token"),
        }
    }

    #[cfg(feature = "tracing")]
    fn is_first(&self, kind: u8) -> bool {
        self.warned.fetch_or(kind, Ordering::Relaxed) & kind == 0
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("has_hook", &self.hook.is_some())
            .finish_non_exhaustive()
    }
}

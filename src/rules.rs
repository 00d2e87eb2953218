//! The rules of [`MergePolicy`] for `tower-affinity-token`; not covered by semver.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request};

use crate::merge::{self, Existing, clear, keep_first, set};
use crate::stamp::{admit, is_tunnel, respect_marker};
use crate::{HostPattern, MergePolicy, Outcome, RequestHead};

/// A header, and which requests it may be sent with.
#[derive(Clone, Debug)]
pub struct HeaderRules {
    pub name: HeaderName,
    pub policy: MergePolicy,
    pub only_hosts: Option<Arc<[HostPattern]>>,
}

impl HeaderRules {
    /// Applies the first matching row of [`MergePolicy`]'s table, in which *ours* is what `value` returns.
    ///
    /// `Stamp::merge` has the same rows, since a shared function with a closure costs it up to 5 instructions
    /// a request. `tests/rules.rs` compares the two for every combination.
    #[inline]
    pub fn apply<B>(
        &self,
        request: &mut Request<B>,
        value: impl FnOnce(RequestHead<'_>) -> Result<HeaderValue, Outcome>,
    ) -> Outcome {
        if let Err(outcome) = self.admit((&*request).into()) {
            clear(request.headers_mut(), &self.name);
            return outcome;
        }
        let absent = match self.policy {
            MergePolicy::Keep => match Existing::find(request.headers(), Some(&self.name)) {
                Existing::Absent => true,
                Existing::One => return Outcome::Kept,
                Existing::Other => {
                    if keep_first(request.headers_mut(), &self.name) {
                        return Outcome::Kept;
                    }
                    false
                }
            },
            MergePolicy::Replace => false,
        };
        match value((&*request).into()) {
            Ok(value) => set(request.headers_mut(), Some(&self.name), value),
            Err(outcome) => {
                if !absent {
                    clear(request.headers_mut(), &self.name);
                }
                outcome
            }
        }
    }

    fn admit(&self, head: RequestHead<'_>) -> Result<(), Outcome> {
        if is_tunnel(head) {
            return Err(Outcome::Tunnel);
        }
        if let Some(hosts) = &self.only_hosts {
            admit(hosts, head.uri())?;
        }
        respect_marker(head)
    }
}

/// Whether a value has nothing but spaces and tabs.
#[must_use]
pub fn is_blank(value: &HeaderValue) -> bool {
    merge::is_blank(value)
}

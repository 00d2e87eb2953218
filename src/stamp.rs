//! The one decision: which value of the header a request leaves with.

use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri};

use crate::derivation::Derivation;
use crate::merge::{DEFAULT_NAME, Existing, clear, exchange, keep_first, set};
use crate::{HostPattern, KeyExtractor, MergePolicy, NoAffinity, RequestHead};

/// What a stamp did to a request.
///
/// It is a report, not a result: a stamp never fails a request.
///
/// # Events
///
/// With the feature `tracing`, each stamp is one event of the target `tower_session_affinity`, with two
/// fields and never the key: `outcome` is the name of the variant in snake case (`stamped`, `no_key`),
/// and `header_name` is that of the header. The level is WARN for [`NoAuthority`](Self::NoAuthority) and
/// [`MapFull`](Self::MapFull), where the affinity is lost in silence though no setting asks for that,
/// and TRACE for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A key was written where there was no header.
    Stamped,
    /// The caller's header was kept, alone.
    Kept,
    /// A key was written over a header, the caller's own or a blank one; under derivation also the key
    /// that is derived from the caller's own.
    Replaced,
    /// No source had a key, so no header leaves.
    NoKey,
    /// The request carries [`NoAffinity`], so no header leaves.
    Suppressed,
    /// The host is not on the list of `.only_hosts`, so no header leaves.
    HostNotAllowed,
    /// The URI has no authority and there is a list of hosts, or a key to derive per host, so no
    /// header leaves.
    NoAuthority,
    /// The header map has no room for another name, so no header leaves.
    MapFull,
}

/// All that a layer and its services decide with.
#[derive(Clone, Debug)]
pub(crate) struct Stamp<K> {
    pub(crate) extractor: K,
    /// `None` for the default: it is cheaper to clone and to write.
    pub(crate) header_name: Option<HeaderName>,
    pub(crate) merge_policy: MergePolicy,
    pub(crate) only_hosts: Option<Arc<[HostPattern]>>,
    pub(crate) derivation: Option<Derivation>,
}

/// A request, whole or in parts: read first, then written.
pub(crate) trait Stampable {
    fn head(&self) -> RequestHead<'_>;
    fn headers_mut(&mut self) -> &mut HeaderMap;
}

/// The parts of a request that a stamp reads and the one that it writes.
pub(crate) struct StampableParts<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a mut HeaderMap,
    pub(crate) extensions: &'a Extensions,
}

impl<K: KeyExtractor> Stamp<K> {
    /// Decides, writes, derives, and reports.
    #[inline]
    pub(crate) fn stamp(&self, request: &mut impl Stampable) -> Outcome {
        let outcome = self.apply(request);
        let outcome = match &self.derivation {
            None => outcome,
            Some(derivation) => derive(derivation, request, self.name(), outcome),
        };
        #[cfg(feature = "tracing")]
        outcome.report(self.name());
        outcome
    }

    /// Goes down the rows of [`MergePolicy`]'s table.
    #[inline]
    fn apply(&self, request: &mut impl Stampable) -> Outcome {
        let name = self.name();
        if let Some(forbidden) = self.forbid(request.head()) {
            clear(request.headers_mut(), name);
            return forbidden;
        }
        let absent = match self.merge_policy {
            MergePolicy::Keep => match Existing::find(request.head().headers(), name) {
                Existing::One => return Outcome::Kept,
                Existing::Several => {
                    keep_first(request.headers_mut(), name);
                    return Outcome::Kept;
                }
                Existing::Blank => false,
                Existing::Absent => true,
            },
            // What is there goes in any case, so there is no need to look.
            MergePolicy::Replace => false,
        };
        match self.extractor.extract(request.head()) {
            Some(key) => set(request.headers_mut(), self.header_name.as_ref(), key.into()),
            // To clear what is not there changes nothing, and costs a hash.
            None if absent => Outcome::NoKey,
            None => {
                clear(request.headers_mut(), name);
                Outcome::NoKey
            }
        }
    }

    #[inline]
    fn name(&self) -> &HeaderName {
        self.header_name.as_ref().unwrap_or(&DEFAULT_NAME)
    }

    /// Returns why this request must leave without the header, if it must.
    #[inline]
    fn forbid(&self, head: RequestHead<'_>) -> Option<Outcome> {
        let refused = self
            .only_hosts
            .as_deref()
            .and_then(|hosts| refuse(hosts, head.uri()));
        refused.or_else(|| {
            head.extensions()
                .get::<NoAffinity>()
                .map(|_| Outcome::Suppressed)
        })
    }
}

/// Derives the value that the table left, whichever that is, so that none leaves as it was.
fn derive(
    derivation: &Derivation,
    request: &mut impl Stampable,
    name: &HeaderName,
    outcome: Outcome,
) -> Outcome {
    let head = request.head();
    let Some(raw) = head.headers().get(name) else {
        return outcome;
    };
    let Some(value) = derivation.derive(head.uri(), raw) else {
        clear(request.headers_mut(), name);
        return Outcome::NoAuthority;
    };
    exchange(request.headers_mut(), name, value);
    match outcome {
        Outcome::Kept => Outcome::Replaced,
        outcome => outcome,
    }
}

/// Returns why this list of hosts does not let the header go to this URI, if it does not.
fn refuse(hosts: &[HostPattern], uri: &Uri) -> Option<Outcome> {
    let Some(host) = uri.host() else {
        return Some(Outcome::NoAuthority);
    };
    if hosts.iter().any(|pattern| pattern.matches_host(host, uri)) {
        None
    } else {
        Some(Outcome::HostNotAllowed)
    }
}

#[cfg(feature = "tracing")]
impl Outcome {
    /// Emits the event, whose fields are computed only if somebody listens at its level.
    fn report(self, header_name: &HeaderName) {
        const TARGET: &str = "tower_session_affinity";
        match self {
            Self::NoAuthority => tracing::warn!(
                target: TARGET,
                outcome = self.name(),
                header_name = header_name.as_str(),
                "no affinity header: a setting asks for the host, and the URI has no authority",
            ),
            Self::MapFull => tracing::warn!(
                target: TARGET,
                outcome = self.name(),
                header_name = header_name.as_str(),
                "no affinity header: the header map has no room for another name",
            ),
            _ => tracing::trace!(
                target: TARGET,
                outcome = self.name(),
                header_name = header_name.as_str(),
                "affinity header",
            ),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Stamped => "stamped",
            Self::Kept => "kept",
            Self::Replaced => "replaced",
            Self::NoKey => "no_key",
            Self::Suppressed => "suppressed",
            Self::HostNotAllowed => "host_not_allowed",
            Self::NoAuthority => "no_authority",
            Self::MapFull => "map_full",
        }
    }
}

impl<B> Stampable for Request<B> {
    #[inline]
    fn head(&self) -> RequestHead<'_> {
        self.into()
    }

    #[inline]
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

impl Stampable for StampableParts<'_> {
    fn head(&self) -> RequestHead<'_> {
        RequestHead::new(self.method, self.uri, self.headers, self.extensions)
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers
    }
}

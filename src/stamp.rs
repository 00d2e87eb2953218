//! The one decision: which value of the header a request leaves with.

use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri};

use crate::derivation::Derivation;
use crate::merge::{Existing, clear, first, keep_first, set};
use crate::{HostPattern, KeyExtractor, MergePolicy, NoAffinity, RequestHead};

/// What a stamp did to a request.
///
/// It is a report, not a result: a stamp never fails a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A key was written where there was no header.
    Stamped,
    /// The caller's header was kept, alone.
    Kept,
    /// A key was written over a header, the caller's own or a blank one; with derivation, that may be
    /// the key derived from the caller's own header, under either policy.
    Replaced,
    /// No source had a key, so no header leaves.
    NoKey,
    /// The request carries [`NoAffinity`], so no header leaves.
    Suppressed,
    /// The host is not on the list of `.only_hosts`, so no header leaves.
    HostNotAllowed,
    /// The URI has no authority and the list of `.only_hosts`, or `.derive_per_host`, asks for one, so
    /// no header leaves.
    NoAuthority,
    /// The header map has no room for another name, so no header leaves.
    MapFull,
}

/// All that a layer and its services decide with.
#[derive(Clone, Debug)]
pub(crate) struct Stamp<K> {
    pub(crate) extractor: K,
    pub(crate) header_name: HeaderName,
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
    /// Goes down the rows of [`MergePolicy`]'s table.
    #[inline]
    pub(crate) fn stamp(&self, request: &mut impl Stampable) -> Outcome {
        let name = &self.header_name;
        if let Some(forbidden) = self.forbid(request.head()) {
            clear(request.headers_mut(), name);
            return forbidden;
        }
        let absent = match self.merge_policy {
            MergePolicy::Keep => match Existing::find(request.head().headers(), name) {
                Existing::Absent => true,
                Existing::Blank => false,
                existing => return self.keep(request, name, existing),
            },
            // What is there goes in any case, so there is no need to look.
            MergePolicy::Replace => false,
        };
        match self.extractor.extract(request.head()) {
            Some(key) => {
                let value = match &self.derivation {
                    None => key.into(),
                    Some(derivation) => {
                        derivation.derive(request.head().uri(), key.as_header_value())
                    }
                };
                return set(request.headers_mut(), name, value);
            }
            None if absent => {}
            None => clear(request.headers_mut(), name),
        }
        Outcome::NoKey
    }

    /// Leaves the caller's header, or the key derived from it, alone.
    #[inline]
    fn keep(&self, request: &mut impl Stampable, name: &HeaderName, existing: Existing) -> Outcome {
        if let Some(derivation) = &self.derivation {
            let head = request.head();
            let value = first(head.headers(), name).map(|raw| derivation.derive(head.uri(), raw));
            return value.map_or(Outcome::NoKey, |value| {
                set(request.headers_mut(), name, value)
            });
        }
        if existing == Existing::Several {
            keep_first(request.headers_mut(), name);
        }
        Outcome::Kept
    }

    /// Returns why this request must leave without the header, if it must.
    #[inline]
    fn forbid(&self, head: RequestHead<'_>) -> Option<Outcome> {
        let refused = self
            .only_hosts
            .as_deref()
            .and_then(|hosts| refuse(hosts, head.uri()));
        let suppressed = || head.extensions().get::<NoAffinity>();
        let derivation = self.derivation.as_ref();
        let lost = || derivation.filter(|derivation| !derivation.has_destination(head.uri()));
        refused
            .or_else(|| suppressed().map(|_| Outcome::Suppressed))
            .or_else(|| lost().map(|_| Outcome::NoAuthority))
    }
}

/// Returns why this list of hosts does not let the header go to this URI, if it does not.
fn refuse(hosts: &[HostPattern], uri: &Uri) -> Option<Outcome> {
    if uri.authority().is_none() {
        Some(Outcome::NoAuthority)
    } else if hosts.iter().any(|host| host.matches(uri)) {
        None
    } else {
        Some(Outcome::HostNotAllowed)
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

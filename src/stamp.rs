//! The one decision: which value of the header a request leaves with.

use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri};

use crate::merge::{DEFAULT_NAME, Existing, clear, keep_first, set};
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
    /// A key was written over a header, the caller's own or a blank one.
    Replaced,
    /// No source had a key, so no header leaves.
    NoKey,
    /// The request carries [`NoAffinity`], so no header leaves.
    Suppressed,
    /// The host is not on the list of `.only_hosts`, so no header leaves.
    HostNotAllowed,
    /// There is a list of hosts and the URI has no authority, so no header leaves.
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
        let name = self.header_name.as_ref().unwrap_or(&DEFAULT_NAME);
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
            None if absent => Outcome::NoKey,
            None => {
                clear(request.headers_mut(), name);
                Outcome::NoKey
            }
        }
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

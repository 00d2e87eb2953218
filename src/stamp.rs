//! The one decision: which value of the header a request is sent with.

use std::sync::Arc;

#[cfg(feature = "body-field")]
use http::HeaderValue;
use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri};

use crate::derivation::Derivation;
use crate::host::is_listed;
use crate::merge::{DEFAULT_NAME, Existing, clear, exchange, keep_first, set, strip};
use crate::names::Names;
use crate::outcome::{Carrier, Observer};
use crate::{Destination, Destinations, HostPattern, KeyExtractor, MergePolicy, NoAffinity};
use crate::{Outcome, RequestHead};

/// All that a layer and its services decide with.
#[derive(Clone, Debug)]
pub(crate) struct Stamp<K> {
    pub(crate) extractor: K,
    pub(crate) settings: Settings,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `None` for the default: it is cheaper to clone and to write.
    pub(crate) header_name: Option<HeaderName>,
    pub(crate) merge_policy: MergePolicy,
    pub(crate) only_hosts: Option<Arc<[HostPattern]>>,
    pub(crate) destinations: Option<Destinations>,
    pub(crate) derivation: Option<Derivation>,
    /// Headers that are not sent, unless one of them is the one that carries the key.
    pub(crate) stripped: Option<Names>,
    /// Those of them whose values are not sent as they are either.
    pub(crate) never_kept: Option<Names>,
    pub(crate) observer: Observer,
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

/// The header that carries the key, and the most bytes that it takes.
#[derive(Clone, Copy)]
struct Target<'a> {
    /// `None` for the default.
    name: Option<&'a HeaderName>,
    max_len: Option<usize>,
}

impl<'a> Target<'a> {
    #[inline]
    fn name(self) -> &'a HeaderName {
        self.name.unwrap_or(&DEFAULT_NAME)
    }
}

impl<K: KeyExtractor> Stamp<K> {
    /// Decides, writes, and tells.
    #[inline]
    pub(crate) fn stamp(&self, request: &mut impl Stampable) -> Outcome {
        let settings = &self.settings;
        let (outcome, carrier) = match settings.target(request.head()) {
            Ok(target) => {
                let outcome = self.send(request, target);
                (outcome, Carrier::Header(target.name()))
            }
            Err(outcome) => (outcome, settings.withhold(request)),
        };
        settings.observer.tell(outcome, carrier, request.head());
        outcome
    }

    #[inline]
    fn send(&self, request: &mut impl Stampable, target: Target<'_>) -> Outcome {
        let settings = &self.settings;
        let mut outcome = self.merge(request, target);
        if settings.derivation.is_some() || target.max_len.is_some() {
            outcome = settings.finish(request, target, outcome);
        }
        if let Some(names) = &settings.stripped {
            strip(request.headers_mut(), names, Some(target.name()));
        }
        outcome
    }

    /// Goes down the rows of [`MergePolicy`]'s table.
    #[inline]
    fn merge(&self, request: &mut impl Stampable, target: Target<'_>) -> Outcome {
        let absent = match self.settings.policy(target) {
            MergePolicy::Keep => match Existing::find(request.head().headers(), target.name) {
                Existing::One => return Outcome::Kept,
                Existing::Several => {
                    keep_first(request.headers_mut(), target.name());
                    return Outcome::Kept;
                }
                Existing::Blank => false,
                Existing::Absent => true,
            },
            // What is there goes in any case, so there is no need to look.
            MergePolicy::Replace => false,
        };
        match self.extractor.extract(request.head()) {
            Some(key) => set(request.headers_mut(), target.name, key.into()),
            None => self.miss(request, target, absent),
        }
    }

    #[inline]
    fn miss(&self, request: &mut impl Stampable, target: Target<'_>, absent: bool) -> Outcome {
        let outcome = self.why_no_key(request.head());
        // To clear what is not there changes nothing, and costs a hash.
        if !absent {
            clear(request.headers_mut(), target.name());
        }
        outcome
    }

    /// Returns the body field that the destination reads, and what to write into it.
    #[cfg(feature = "body-field")]
    pub(crate) fn field(&self, head: RequestHead<'_>) -> Result<(&str, HeaderValue), Outcome> {
        let settings = &self.settings;
        let destinations = settings.destinations.as_ref();
        let row = destinations
            .ok_or(Outcome::FieldNotRead)
            .and_then(|destinations| settings.row(destinations, head.uri()))?;
        let name = row.body_field_name().ok_or(Outcome::FieldNotRead)?;
        if head.extensions().get::<NoAffinity>().is_some() {
            return Err(Outcome::Suppressed);
        }
        let key = self.extractor.extract(head);
        let mut value = key.ok_or_else(|| self.why_no_key(head))?.into();
        if let Some(derivation) = &settings.derivation {
            let derived = derivation.derive(head.uri(), &value);
            value = derived.ok_or(Outcome::NoAuthority)?;
        }
        match row.max_key_len() {
            Some(max_len) if value.len() > max_len => Err(Outcome::TooLong),
            _ => Ok((name, value)),
        }
    }

    #[inline]
    fn why_no_key(&self, head: RequestHead<'_>) -> Outcome {
        if self.extractor.has_invalid_key(head) {
            Outcome::InvalidKey
        } else {
            Outcome::NoKey
        }
    }
}

impl Settings {
    pub(crate) const fn new() -> Self {
        Self {
            header_name: None,
            merge_policy: MergePolicy::Keep,
            only_hosts: None,
            destinations: None,
            derivation: None,
            stripped: None,
            never_kept: None,
            observer: Observer::new(),
        }
    }

    /// Returns where the key goes, or why none may be sent.
    #[inline]
    fn target(&self, head: RequestHead<'_>) -> Result<Target<'_>, Outcome> {
        if is_tunnel(head) {
            return Err(Outcome::Tunnel);
        }
        if let Some(hosts) = &self.only_hosts {
            match is_listed(hosts, head.uri()) {
                Some(true) => {}
                Some(false) => return Err(Outcome::HostNotAllowed),
                None => return Err(Outcome::NoAuthority),
            }
        }
        let target = match &self.destinations {
            None => Target {
                name: self.header_name.as_ref(),
                max_len: None,
            },
            Some(destinations) => {
                let row = self.row(destinations, head.uri())?;
                let name = row.header_name().ok_or(Outcome::HeaderNotRead)?;
                Target {
                    name: Some(name),
                    max_len: row.max_key_len(),
                }
            }
        };
        match head.extensions().get::<NoAffinity>() {
            Some(_) => Err(Outcome::Suppressed),
            None => Ok(target),
        }
    }

    /// Returns the row that decides for this URI.
    #[inline]
    fn row<'a>(
        &self,
        destinations: &'a Destinations,
        uri: &Uri,
    ) -> Result<&'a Destination, Outcome> {
        destinations.find(uri).ok_or_else(|| match uri.authority() {
            Some(_) => Outcome::HostNotAllowed,
            None => Outcome::NoAuthority,
        })
    }

    #[inline]
    fn policy(&self, target: Target<'_>) -> MergePolicy {
        match &self.never_kept {
            Some(names) if names.contains(target.name()) => MergePolicy::Replace,
            _ => self.merge_policy,
        }
    }

    /// Derives the value that the table left, whichever that is, and holds what is sent to the limit.
    #[inline(never)]
    fn finish(
        &self,
        request: &mut impl Stampable,
        target: Target<'_>,
        outcome: Outcome,
    ) -> Outcome {
        let head = request.head();
        let Some(raw) = head.headers().get(target.name()) else {
            return outcome;
        };
        let derived = match &self.derivation {
            None => None,
            Some(derivation) => match derivation.derive(head.uri(), raw) {
                Some(value) => Some(value),
                None => {
                    clear(request.headers_mut(), target.name());
                    return Outcome::NoAuthority;
                }
            },
        };
        let len = derived.as_ref().unwrap_or(raw).len();
        if target.max_len.is_some_and(|max_len| len > max_len) {
            clear(request.headers_mut(), target.name());
            return Outcome::TooLong;
        }
        let Some(value) = derived else {
            return outcome;
        };
        exchange(request.headers_mut(), target.name(), value);
        match outcome {
            Outcome::Kept => Outcome::KeptDerived,
            outcome => outcome,
        }
    }

    /// Takes out every header that could carry a key; returns the one that would have.
    #[cold]
    fn withhold(&self, request: &mut impl Stampable) -> Carrier<'_> {
        let headers = request.headers_mut();
        if let Some(names) = &self.stripped {
            strip(headers, names, None);
        }
        if self.destinations.is_some() {
            return Carrier::Nothing;
        }
        let name = self.header_name.as_ref().unwrap_or(&DEFAULT_NAME);
        clear(headers, name);
        Carrier::Header(name)
    }
}

/// Whether the request asks a proxy for a tunnel. One that opens a WebSocket over HTTP/2 (RFC 8441) has a
/// scheme, and goes to the host itself.
#[inline]
fn is_tunnel(head: RequestHead<'_>) -> bool {
    *head.method() == Method::CONNECT && head.uri().scheme().is_none()
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

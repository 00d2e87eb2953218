//! The settings of a layer, and the header that they select for a request.

use std::sync::Arc;

use http::{HeaderName, Method, Uri};

use super::Stampable;
use crate::derived::Derivation;
#[cfg(feature = "tracing")]
use crate::events::Warnings;
use crate::host::is_listed;
use crate::merge::{DEFAULT_NAME, clear, exchange, strip};
use crate::names::Names;
use crate::outcome::{Carrier, Hook};
use crate::{Destination, Destinations, HostPattern, MergePolicy, NoAffinity};
use crate::{Outcome, RequestHead};

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `None` for the default name, which is cheaper to clone and to write.
    pub(crate) header_name: Option<HeaderName>,
    pub(crate) merge_policy: MergePolicy,
    /// Behind one pointer, so that a layer without any pays for one comparison.
    pub(super) special: Option<Arc<Special>>,
    #[cfg(feature = "tracing")]
    warnings: Warnings,
}

/// The settings that most layers do not have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Special {
    pub(crate) only_hosts: Option<Box<[HostPattern]>>,
    pub(crate) destinations: Option<Destinations>,
    pub(crate) derivation: Option<Derivation>,
    /// Headers that are not sent, except the one that carries the key.
    pub(crate) stripped: Names,
    /// The stripped headers whose values are never kept, even if one carries the key.
    pub(crate) never_kept: Names,
    pub(crate) hook: Option<Hook>,
    pub(crate) expects_key: bool,
}

/// The header that carries the key, and its maximum length in bytes.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// `None` for the default.
    pub(super) name: Option<&'a HeaderName>,
    max_len: Option<usize>,
}

impl<'a> Target<'a> {
    #[inline]
    pub(super) fn name(self) -> &'a HeaderName {
        self.name.unwrap_or(&DEFAULT_NAME)
    }
}

impl Settings {
    pub(crate) const fn new() -> Self {
        Self {
            header_name: None,
            merge_policy: MergePolicy::Keep,
            special: None,
            #[cfg(feature = "tracing")]
            warnings: Warnings::new(),
        }
    }

    pub(crate) fn special_mut(&mut self) -> &mut Special {
        Arc::make_mut(self.special.get_or_insert_default())
    }

    /// Returns the header for the key, or why none may be sent.
    #[expect(
        clippy::inline_always,
        reason = "returning its large result would cost more than the call itself"
    )]
    #[inline(always)]
    pub(super) fn target(&self, head: RequestHead<'_>) -> Result<Target<'_>, Outcome> {
        if is_tunnel(head) {
            return Err(Outcome::Tunnel);
        }
        let mut target = Target {
            name: self.header_name.as_ref(),
            max_len: None,
        };
        if let Some(special) = &self.special {
            special.admit(head.uri())?;
            if let Some(destinations) = &special.destinations {
                target = aim(destinations, head.uri())?;
            }
        }
        respect_marker(head)?;
        Ok(target)
    }

    /// Returns the body field that the destination reads and its maximum length in bytes, or why no key may
    /// be sent.
    #[cfg(feature = "body-field")]
    pub(crate) fn field(&self, head: RequestHead<'_>) -> Result<(&str, Option<usize>), Outcome> {
        let special = self.special.as_ref();
        let destinations = special.and_then(|special| special.destinations.as_ref());
        let row = row(destinations.ok_or(Outcome::FieldNotRead)?, head.uri())?;
        let name = row.body_field_name().ok_or(Outcome::FieldNotRead)?;
        respect_marker(head)?;
        Ok((name, row.max_key_len()))
    }

    /// Removes the headers that are not sent.
    #[cfg(feature = "body-field")]
    pub(crate) fn strip(&self, request: &mut impl Stampable) {
        if let Some(special) = &self.special {
            strip(request.headers_mut(), &special.stripped, None);
        }
    }

    #[inline]
    pub(super) fn policy(&self, target: Target<'_>) -> MergePolicy {
        match &self.special {
            Some(special) if special.is_never_kept(target) => MergePolicy::Replace,
            _ => self.merge_policy,
        }
    }

    /// Removes every header that could carry a key, and returns the one that would have.
    #[cold]
    pub(super) fn withhold(&self, request: &mut impl Stampable) -> Carrier<'_> {
        let headers = request.headers_mut();
        if let Some(special) = &self.special {
            strip(headers, &special.stripped, None);
            if special.destinations.is_some() {
                return Carrier::Nothing;
            }
        }
        let name = self.header_name.as_ref().unwrap_or(&DEFAULT_NAME);
        clear(headers, name);
        Carrier::Header(name)
    }

    /// Emits the event and calls the hook.
    #[inline]
    pub(crate) fn tell(&self, outcome: Outcome, carrier: Carrier<'_>, head: RequestHead<'_>) {
        self.report(outcome, carrier);
        if let Some(hook) = self.hook() {
            hook.call(outcome, head);
        }
    }

    #[inline]
    pub(crate) fn hook(&self) -> Option<&Hook> {
        self.special.as_ref()?.hook.as_ref()
    }

    /// Emits the event.
    #[cfg_attr(
        not(feature = "tracing"),
        expect(
            clippy::unused_self,
            reason = "there are no events without the feature"
        )
    )]
    #[inline]
    pub(crate) fn report(&self, outcome: Outcome, carrier: Carrier<'_>) {
        #[cfg(feature = "tracing")]
        {
            let special = self.special.as_ref();
            let expects_key = special.is_some_and(|special| special.expects_key);
            self.warnings.report(outcome, carrier, expects_key);
        }
        #[cfg(not(feature = "tracing"))]
        let _ = (outcome, carrier);
    }
}

impl Special {
    #[inline]
    fn admit(&self, uri: &Uri) -> Result<(), Outcome> {
        match &self.only_hosts {
            Some(hosts) => admit(hosts, uri),
            None => Ok(()),
        }
    }

    #[inline]
    fn is_never_kept(&self, target: Target<'_>) -> bool {
        !self.never_kept.is_empty() && self.never_kept.get(target.name()).is_some()
    }

    /// Derives and limits the value that the merge policy chose, and removes the stripped headers.
    #[inline]
    pub(super) fn finish(
        &self,
        request: &mut impl Stampable,
        target: Target<'_>,
        mut outcome: Outcome,
    ) -> Outcome {
        if self.derivation.is_some() || target.max_len.is_some() {
            outcome = self.derive_and_limit(request, target, outcome);
        }
        strip(request.headers_mut(), &self.stripped, Some(target.name()));
        outcome
    }

    fn derive_and_limit(
        &self,
        request: &mut impl Stampable,
        target: Target<'_>,
        outcome: Outcome,
    ) -> Outcome {
        let head = request.head();
        let Some(raw) = head.headers().get(target.name()) else {
            return outcome;
        };
        let derive = |derivation: &Derivation| derivation.derive(head.uri(), raw);
        let derived = self.derivation.as_ref().map(derive);
        if matches!(derived, Some(None)) {
            clear(request.headers_mut(), target.name());
            return Outcome::NoAuthority;
        }
        let derived = derived.flatten();
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
}

/// Fails if this host is not on the list.
#[inline]
pub(crate) fn admit(hosts: &[HostPattern], uri: &Uri) -> Result<(), Outcome> {
    match is_listed(hosts, uri) {
        Some(true) => Ok(()),
        Some(false) => Err(Outcome::HostNotAllowed),
        None => Err(Outcome::NoAuthority),
    }
}

/// Fails if the request carries [`NoAffinity`].
#[inline]
pub(crate) fn respect_marker(head: RequestHead<'_>) -> Result<(), Outcome> {
    match head.extensions().get::<NoAffinity>() {
        Some(_) => Err(Outcome::Suppressed),
        None => Ok(()),
    }
}

/// Returns the header that the host reads, or why none may be sent to it.
// Not inlined: this keeps the case without a table short.
#[inline(never)]
fn aim<'a>(destinations: &'a Destinations, uri: &Uri) -> Result<Target<'a>, Outcome> {
    let row = row(destinations, uri)?;
    let name = row.header_name().ok_or(Outcome::HeaderNotRead)?;
    Ok(Target {
        name: (!row.has_default_name()).then_some(name),
        max_len: row.max_key_len(),
    })
}

/// Returns the row that applies to this URI, or why there is none.
#[inline]
fn row<'a>(destinations: &'a Destinations, uri: &Uri) -> Result<&'a Destination, Outcome> {
    destinations.find(uri).ok_or_else(|| match uri.authority() {
        Some(_) => Outcome::HostNotAllowed,
        None => Outcome::NoAuthority,
    })
}

/// Whether the request asks a proxy for a tunnel.
///
/// A `CONNECT` that opens a WebSocket over HTTP/2 (RFC 8441) has a scheme and goes to the host itself.
#[inline]
pub(crate) fn is_tunnel(head: RequestHead<'_>) -> bool {
    head.uri().scheme().is_none() && *head.method() == Method::CONNECT
}

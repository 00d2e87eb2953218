//! What a layer did to a request, and the hook that receives it.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;

use crate::RequestHead;

/// What a layer did to a request.
///
/// It is a report, not a result: a layer never fails a request.
/// [`SessionAffinityLayer::stamp`](crate::SessionAffinityLayer::stamp) returns it, and
/// [`SessionAffinityLayer::on_outcome`](crate::SessionAffinityLayer::on_outcome) passes it to a closure.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::Outcome;
///
/// assert_eq!(Outcome::HostNotAllowed.as_str(), "host_not_allowed");
/// assert!(Outcome::ALL.contains(&Outcome::Stamped));
/// ```
///
/// # Events
///
/// With the feature `tracing`, each outcome is one event with the target `tower_session_affinity`. It never
/// shows the key. The field `outcome` is [`as_str`](Self::as_str). The field `header_name` or `body_field`
/// says where the key would be sent; neither is set if there is no such place.
///
/// The level is WARN if affinity is lost and no setting asked for it:
/// [`NoAuthority`](Self::NoAuthority), [`MapFull`](Self::MapFull), [`TooLong`](Self::TooLong),
/// [`InvalidKey`](Self::InvalidKey), and [`NoKey`](Self::NoKey) on a layer that
/// [expects a key](crate::SessionAffinityLayer::expect_key). It is TRACE for all others.
///
/// A layer and its clones emit at most one warning of each kind per second. The field `left_out` counts the
/// warnings that were suppressed since the last one. `wasm32-unknown-unknown` has no clock, so there every
/// warning is emitted. More: [metrics and events](crate::guide::observability).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The key is sent, and the caller had sent none.
    Stamped,
    /// The caller's own value was kept, as the only one.
    Kept,
    /// The caller's own value took precedence, and the key derived from it is sent in its place.
    KeptDerived,
    /// The key is sent instead of the caller's header, which may have been blank.
    Replaced,
    /// No source had a key, so none is sent.
    NoKey,
    /// No source had a key, and at least one had a value that is not a valid key, so none is sent.
    InvalidKey,
    /// The value is longer than the destination takes, so none is sent.
    TooLong,
    /// The request carries [`NoAffinity`](crate::NoAffinity), so no key is sent.
    Suppressed,
    /// The host is not listed, so no key is sent.
    HostNotAllowed,
    /// The destination is listed as one that does not read a header, so none is sent.
    HeaderNotRead,
    /// The URI has no authority, which a list of hosts or a derivation needs, so no key is sent.
    NoAuthority,
    /// The request is a `CONNECT` for a tunnel, whose headers the proxy reads, so no key is sent.
    Tunnel,
    /// The header map has no room for another name, so no key is sent.
    MapFull,
    /// The destination is listed as one that does not read a body field, so the body is unchanged.
    FieldNotRead,
    /// The content type is not JSON, or the body is empty, so the body is unchanged.
    NotJson,
    /// The body has a content encoding or an unreadable length, so it is unchanged.
    Encoded,
    /// A signature or digest covers the body, so it is unchanged.
    Signed,
    /// The body is not one JSON object, so no key was written into it.
    NotAnObject,
}

/// Where a key was to be sent.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(feature = "tracing"),
    expect(dead_code, reason = "only events read it")
)]
pub(crate) enum Carrier<'a> {
    Header(&'a HeaderName),
    #[cfg(feature = "body-field")]
    Field(&'a str),
    Nothing,
}

/// The closure that is called with each outcome.
#[derive(Clone)]
pub(crate) struct Hook(Arc<Called>);

type Called = dyn Fn(Outcome, RequestHead<'_>) + Send + Sync;

impl Outcome {
    /// Every outcome, for counters that start at zero.
    pub const ALL: &[Self] = &[
        Self::Stamped,
        Self::Kept,
        Self::KeptDerived,
        Self::Replaced,
        Self::NoKey,
        Self::InvalidKey,
        Self::TooLong,
        Self::Suppressed,
        Self::HostNotAllowed,
        Self::HeaderNotRead,
        Self::NoAuthority,
        Self::Tunnel,
        Self::MapFull,
        Self::FieldNotRead,
        Self::NotJson,
        Self::Encoded,
        Self::Signed,
        Self::NotAnObject,
    ];

    /// Returns the name in snake case, for a metric's label or a log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stamped => "stamped",
            Self::Kept => "kept",
            Self::KeptDerived => "kept_derived",
            Self::Replaced => "replaced",
            Self::NoKey => "no_key",
            Self::InvalidKey => "invalid_key",
            Self::TooLong => "too_long",
            Self::Suppressed => "suppressed",
            Self::HostNotAllowed => "host_not_allowed",
            Self::HeaderNotRead => "header_not_read",
            Self::NoAuthority => "no_authority",
            Self::Tunnel => "tunnel",
            Self::MapFull => "map_full",
            Self::FieldNotRead => "field_not_read",
            Self::NotJson => "not_json",
            Self::Encoded => "encoded",
            Self::Signed => "signed",
            Self::NotAnObject => "not_an_object",
        }
    }

    /// Returns whether the request is sent with a key, the layer's or the caller's own.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::Outcome;
    ///
    /// assert!(Outcome::Kept.is_sent());
    /// assert!(!Outcome::TooLong.is_sent());
    /// ```
    #[must_use]
    pub const fn is_sent(self) -> bool {
        matches!(
            self,
            Self::Stamped | Self::Kept | Self::KeptDerived | Self::Replaced
        )
    }
}

impl Hook {
    pub(crate) fn new<F>(called: F) -> Self
    where
        F: Fn(Outcome, RequestHead<'_>) + Send + Sync + 'static,
    {
        Self(Arc::new(called))
    }

    pub(crate) fn call(&self, outcome: Outcome, head: RequestHead<'_>) {
        (self.0)(outcome, head);
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hook").finish_non_exhaustive()
    }
}

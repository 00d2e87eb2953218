//! What a layer did to a request, and who is told.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;

use crate::RequestHead;

/// What a layer did to a request.
///
/// It is a report, not a result: a layer never fails a request.
/// [`SessionAffinityLayer::stamp`](crate::SessionAffinityLayer::stamp) returns it, and
/// [`SessionAffinityLayer::on_outcome`](crate::SessionAffinityLayer::on_outcome) hands it to a closure.
///
/// # Events
///
/// With the feature `tracing`, each outcome is one event of the target `tower_session_affinity` that never
/// shows the key. The field `outcome` is [`as_str`](Self::as_str), and `header_name` (or `body_field`)
/// says where the key was to be sent, if anywhere.
///
/// The level is WARN where the affinity is lost although no setting asks for that:
/// [`NoAuthority`](Self::NoAuthority), [`MapFull`](Self::MapFull), [`TooLong`](Self::TooLong),
/// [`InvalidKey`](Self::InvalidKey), and [`NoKey`](Self::NoKey) on a layer that
/// [expects a key](crate::SessionAffinityLayer::expect_key). It is TRACE for all others. A layer and its
/// clones emit one warning a second of each kind; the field `left_out` counts those that were not emitted
/// since the last one. (On `wasm32-unknown-unknown`, which has no clock, all are emitted.)
///
/// # Examples
///
/// ```
/// use tower_session_affinity::Outcome;
///
/// assert_eq!(Outcome::HostNotAllowed.as_str(), "host_not_allowed");
/// assert!(Outcome::ALL.contains(&Outcome::Stamped));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The key was written where there was none.
    Stamped,
    /// The caller's own value was kept, alone.
    Kept,
    /// The caller's own value was kept, and the key that is derived from it is sent in its place.
    KeptDerived,
    /// The key was written over a header, a blank one included.
    Replaced,
    /// No source had a key, so none is sent.
    NoKey,
    /// No source had a key, and at least one had a value that is not a valid key, so none is sent.
    InvalidKey,
    /// The value is longer than its destination takes, so none is sent.
    TooLong,
    /// The request carries [`NoAffinity`](crate::NoAffinity), so no key is sent.
    Suppressed,
    /// The host is not listed, so no key is sent.
    HostNotAllowed,
    /// The destination is listed as one that does not read a header, so none is sent.
    HeaderNotRead,
    /// The URI has no authority, and a list of hosts or a derivation needs one, so no key is sent.
    NoAuthority,
    /// The request is a `CONNECT` for a tunnel, whose headers go to the proxy, so no key is sent.
    Tunnel,
    /// The header map has no room for one more name, so no key is sent.
    MapFull,
    /// The destination is listed as one that does not read a body field, so the body is untouched.
    FieldNotRead,
    /// The body is not JSON by its content type, or is empty, so it is untouched.
    NotJson,
    /// The body has a content encoding, so it is untouched.
    Encoded,
    /// A signature or digest covers the body, so it is untouched.
    Signed,
    /// The body is not one JSON object, so no key was written into it.
    NotAnObject,
}

/// Where a key was to be sent.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(feature = "tracing"),
    expect(dead_code, reason = "read by events alone")
)]
pub(crate) enum Carrier<'a> {
    Header(&'a HeaderName),
    #[cfg(feature = "body-field")]
    Field(&'a str),
    Nothing,
}

/// What a layer's user wants to be told by.
#[derive(Clone)]
pub(crate) struct Hook(Arc<Called>);

type Called = dyn Fn(Outcome, RequestHead<'_>) + Send + Sync;

impl Outcome {
    /// Every outcome, for a counter that begins at zero.
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

    /// Returns the name in snake case, for a label or a log.
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

    /// Whether the request is sent with a key, ours or the caller's own.
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

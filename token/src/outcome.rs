//! What the layer did, for counters and logs.

use http::StatusCode;

/// What a layer did to a request, or learned from how it ended.
///
/// It is a report, not a result: the layer never fails a request. Each request is one outcome out of
/// the first group. A request of a session (`Echoed`, `Opened`, `NothingRemembered`, `MapFull`) is a
/// second one when it ends, out of the second group.
///
/// # Events
///
/// With the feature `tracing`, each outcome is one event of the target `tower_affinity_token`, with
/// two fields and never a key or a token: `outcome` is [`as_str`](Self::as_str), and `header_name` is
/// the header that carries the token. The level is
///
/// - WARN, once for each layer and kind, for `InvalidKey`, `NoAuthority`, `MapFull` and `InvalidToken`,
///   where the affinity is lost although no setting asks for that; later ones are TRACE, so that a mistake
///   in a configuration does not fill a disk;
/// - DEBUG where a token is forgotten;
/// - TRACE for the others.
///
/// # Examples
///
/// ```
/// use tower_affinity_token::Outcome;
///
/// assert_eq!(Outcome::ForgottenFailures.as_str(), "forgotten_failures");
/// assert!(Outcome::ALL.contains(&Outcome::Echoed));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The request was sent with the remembered token.
    Echoed,
    /// Nothing was remembered, and the request was sent with the value of `opening`.
    Opened,
    /// Nothing was remembered, so the request was sent without the header.
    NothingRemembered,
    /// The caller's own token was kept, and its answer is not looked at.
    Kept,
    /// No source had a key, so the request was sent without the header.
    NoKey,
    /// No source had a key, and at least one had a value that is not a valid key, so the request was sent
    /// without the header.
    InvalidKey,
    /// The request carries `NoAffinity`, so it was sent without the header.
    Suppressed,
    /// The host is not on the list of `.only_hosts`, so the request was sent without the header.
    HostNotAllowed,
    /// The URI has no authority, so no token belongs to it and the request was sent without the header.
    NoAuthority,
    /// The request is a `CONNECT` for a tunnel, whose headers go to the proxy, so it was sent without the
    /// header.
    Tunnel,
    /// The header map has no room for another name, so the request was sent without the header.
    MapFull,

    /// The answer brought a token to a request that carried none, and it is remembered.
    Issued,
    /// The answer brought a different token than the request carried, and it is remembered.
    Changed,
    /// The answer repeats the token that the request carried or brings none: it stays remembered.
    Unchanged,
    /// The answer brought no token to a request that carried none.
    NotIssued,
    /// The answer brought a value that is not a token: blank, longer than
    /// [`Token::MAX_LEN`](crate::Token::MAX_LEN), or with a lifetime that has ended.
    InvalidToken,
    /// The answer brought a different token, but the first one wins.
    NotFirst,
    /// The answer brought a token that was forgotten since its request was sent; it stays forgotten.
    Stale,
    /// The request failed. A token that it carried is still remembered.
    Failed,
    /// The status says that the token is dead.
    ForgottenStatus,
    /// The answer says in the header of `.closed_header` that the session is over.
    ForgottenClosed,
    /// The answer repeats the token, and says that its lifetime has ended.
    ForgottenExpired,
    /// As many requests in a row as `.forget_after` allows have failed.
    ForgottenFailures,
}

/// How a request ended, to decide whether it failed.
///
/// The body of an answer is not looked at: a request is answered as soon as its status is there.
///
/// # Examples
///
/// ```
/// use tower_affinity_token::{AffinityTokenLayer, Ending, header};
///
/// // Three failures in a row, and a caller that hangs up is not one.
/// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
///     .forget_after(3, |ending| ending.is_failure() && ending != Ending::Dropped);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// It was answered, with this status.
    Answered(StatusCode),
    /// The inner service returned an error.
    Error,
    /// The future was polled, and dropped before there was an answer: its caller hung up, a timeout
    /// elapsed, or a hedged request was faster.
    Dropped,
}

impl Outcome {
    /// All outcomes, each once, for the labels of a counter.
    pub const ALL: [Self; 23] = [
        Self::Echoed,
        Self::Opened,
        Self::NothingRemembered,
        Self::Kept,
        Self::NoKey,
        Self::InvalidKey,
        Self::Suppressed,
        Self::HostNotAllowed,
        Self::NoAuthority,
        Self::Tunnel,
        Self::MapFull,
        Self::Issued,
        Self::Changed,
        Self::Unchanged,
        Self::NotIssued,
        Self::InvalidToken,
        Self::NotFirst,
        Self::Stale,
        Self::Failed,
        Self::ForgottenStatus,
        Self::ForgottenClosed,
        Self::ForgottenExpired,
        Self::ForgottenFailures,
    ];

    /// Returns the name of the variant in snake case, such as `echoed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Echoed => "echoed",
            Self::Opened => "opened",
            Self::NothingRemembered => "nothing_remembered",
            Self::Kept => "kept",
            Self::NoKey => "no_key",
            Self::InvalidKey => "invalid_key",
            Self::Suppressed => "suppressed",
            Self::HostNotAllowed => "host_not_allowed",
            Self::NoAuthority => "no_authority",
            Self::Tunnel => "tunnel",
            Self::MapFull => "map_full",
            Self::Issued => "issued",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::NotIssued => "not_issued",
            Self::InvalidToken => "invalid_token",
            Self::NotFirst => "not_first",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::ForgottenStatus => "forgotten_status",
            Self::ForgottenClosed => "forgotten_closed",
            Self::ForgottenExpired => "forgotten_expired",
            Self::ForgottenFailures => "forgotten_failures",
        }
    }
}

impl Ending {
    /// Whether this is a failure by default: an error, the status 502 or 504, or no answer.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_affinity_token::Ending;
    ///
    /// assert!(Ending::Error.is_failure());
    /// assert!(!Ending::Answered(StatusCode::INTERNAL_SERVER_ERROR).is_failure());
    /// ```
    #[must_use]
    pub fn is_failure(self) -> bool {
        match self {
            Self::Answered(status) => matches!(status.as_u16(), 502 | 504),
            Self::Error | Self::Dropped => true,
        }
    }
}

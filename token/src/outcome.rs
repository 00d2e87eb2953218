//! What the layer did, for metrics and logs.

use http::StatusCode;

/// What a layer did to a request, or learned when it ended.
///
/// It is a report, not a result: the layer never fails a request. Each request gives one outcome of the first
/// group (`Echoed` to `MapFull`). If that is `Echoed`, `Opened`, `NothingRemembered` or `MapFull`, the request
/// gives a second outcome when it ends, of the second group.
///
/// # Events
///
/// With the feature `tracing`, each outcome is one event of the target `tower_affinity_token`. It has two
/// fields and never shows a key or a token: `outcome` is [`as_str`](Self::as_str), and `header_name` is the
/// header that carries the token. The level is
///
/// - WARN for the first `InvalidKey`, `NoAuthority`, `MapFull` and `InvalidToken` of each layer, since affinity
///   is lost although no setting asks for that; repeats are TRACE, so that a misconfiguration does not fill the
///   log;
/// - DEBUG if a token is forgotten;
/// - TRACE for all others.
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
    /// No token was remembered, so the request was sent with the value of `opening`.
    Opened,
    /// No token was remembered, so the request was sent without the header.
    NothingRemembered,
    /// The request was sent with the caller's own token, and its response is ignored.
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
    /// The URI has no authority, so the request was sent without the header.
    NoAuthority,
    /// The request is a `CONNECT` that opens a tunnel, so it was sent without the header: the proxy would
    /// read it.
    Tunnel,
    /// The header map has no room for another name, so the request was sent without the header.
    MapFull,

    /// The request carried no token; the response brought one, which is remembered.
    Issued,
    /// The response brought a different token than the request carried, and it is remembered.
    Changed,
    /// The response repeated the request's token or brought none, so that token stays remembered.
    Unchanged,
    /// The request carried no token, and the response brought none.
    NotIssued,
    /// The response brought a value that is not a valid token: longer than
    /// [`Token::MAX_LEN`](crate::Token::MAX_LEN), with a blank token part, or with a lifetime that has ended.
    InvalidToken,
    /// The response brought a different token, but the first one wins.
    NotFirst,
    /// The response brought a token that was forgotten after the request was sent. It stays forgotten.
    Stale,
    /// The request failed. If it carried a token, that token is still remembered.
    Failed,
    /// The token is forgotten: the status says that it is dead.
    ForgottenStatus,
    /// The token is forgotten: the response has it in the header of `.closed_header`.
    ForgottenClosed,
    /// The token is forgotten: the response repeats it and says that its lifetime has ended.
    ForgottenExpired,
    /// The token is forgotten: it reached the number of consecutive failures of `.forget_after`.
    ForgottenFailures,
}

/// How a request ended, for deciding whether it failed.
///
/// The response body does not matter: a request has ended when the head of its response arrives.
///
/// # Examples
///
/// ```
/// use tower_affinity_token::{AffinityTokenLayer, Ending, header};
///
/// // At the third failure; a caller that hangs up is not one.
/// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
///     .forget_after(3, |ending| ending.is_failure() && ending != Ending::Dropped);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// The inner service returned a response with this status.
    Answered(StatusCode),
    /// The inner service returned an error.
    Error,
    /// The future was polled, then dropped before the response: its caller hung up, a timeout elapsed, or a
    /// hedged request was faster.
    Dropped,
}

impl Outcome {
    /// Every outcome once, for a counter that begins at zero.
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

    /// Returns the name in snake case, for a label or a log.
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
    /// Whether this is a failure by default: an error, the status 502 or 504, or a dropped future.
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

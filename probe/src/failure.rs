//! What can go wrong with a request, each in one sentence.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// Why a request gave no measurement. Texts from outside were cleaned of the API key before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection came about.
    Connect { endpoint: String, reason: String },
    /// What answers there speaks another protocol than this one.
    OtherProtocol {
        expected: &'static str,
        reason: String,
    },
    /// The connection ended before any answer.
    Closed { reason: String },
    /// A status other than 200 and 429.
    Status { status: StatusCode, detail: String },
    /// 429, and more waiting than this tool does.
    RateLimited {
        retry_after: Option<Duration>,
        tries: u32,
        detail: String,
    },
    /// 200, but no event stream.
    NoStream {
        content_type: String,
        detail: String,
    },
    /// An error inside of the stream.
    ErrorEvent { detail: String },
    /// An event that is no chunk of a chat.
    NoChunk { detail: String },
    /// The stream ended before the answer did.
    BrokeOff { pieces: u32, reason: String },
    /// Nothing arrived for this long.
    Silent { limit: Duration },
}

impl Failure {
    /// Whether every other request would fail in the same way.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::OtherProtocol { .. }
            | Self::RateLimited { .. }
            | Self::NoStream { .. } => true,
            Self::Status { status, .. } => {
                !status.is_server_error() && *status != StatusCode::REQUEST_TIMEOUT
            }
            Self::Closed { .. }
            | Self::ErrorEvent { .. }
            | Self::NoChunk { .. }
            | Self::BrokeOff { .. }
            | Self::Silent { .. } => false,
        }
    }

    /// Returns the status, if one arrived.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Connect { .. }
            | Self::OtherProtocol { .. }
            | Self::Closed { .. }
            | Self::Silent { .. } => None,
            Self::Status { status, .. } => Some(*status),
            Self::RateLimited { .. } => Some(StatusCode::TOO_MANY_REQUESTS),
            Self::NoStream { .. }
            | Self::ErrorEvent { .. }
            | Self::NoChunk { .. }
            | Self::BrokeOff { .. } => Some(StatusCode::OK),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { endpoint, reason } => {
                write!(f, "no connection to {endpoint}: {reason}")
            }
            Self::OtherProtocol { expected, reason } => {
                write!(
                    f,
                    "the endpoint does not speak {expected}: {reason}\n--url may need another scheme or port."
                )
            }
            Self::Closed { reason } => {
                write!(
                    f,
                    "the endpoint closed the connection without an answer: {reason}"
                )
            }
            Self::Status { status, detail } => {
                write!(f, "the endpoint answered {status}{}{detail}", colon(detail))?;
                f.write_str(hint(*status))
            }
            Self::RateLimited {
                retry_after,
                tries,
                detail,
            } => {
                write!(f, "the endpoint answered 429 Too Many Requests ")?;
                match retry_after {
                    Some(wait) => write!(f, "and asks to wait {} s", wait.as_secs())?,
                    None => f.write_str("and does not say how long to wait")?,
                }
                write!(
                    f,
                    "; given up after {}{}{detail}",
                    count(*tries, "try", "tries"),
                    colon(detail)
                )
            }
            Self::NoStream {
                content_type,
                detail,
            } => write!(
                f,
                "the endpoint answered with {content_type} instead of an event stream{}{detail}",
                colon(detail)
            ),
            Self::ErrorEvent { detail } => {
                write!(
                    f,
                    "the endpoint sent an error inside of the stream: {detail}"
                )
            }
            Self::NoChunk { detail } => {
                write!(
                    f,
                    "the stream holds an event that is no chunk of a chat: {detail}"
                )
            }
            Self::BrokeOff { pieces, reason } => {
                write!(
                    f,
                    "the stream broke off after {} of the answer: {reason}",
                    count(*pieces, "piece", "pieces")
                )
            }
            Self::Silent { limit } => {
                write!(f, "nothing arrived for {} s (--timeout)", limit.as_secs())
            }
        }
    }
}

fn count(number: u32, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

const fn colon(detail: &str) -> &'static str {
    if detail.is_empty() { "" } else { ": " }
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "\nThe API key is read from the variable that --api-key-env names."
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            "\n--url is the whole address, mostly one that ends in /v1/chat/completions."
        }
        status if status.is_redirection() => {
            "\nRedirects are not followed; give the final address with --url."
        }
        _ => "",
    }
}

/// Joins an error and its causes, from the inside of the first on.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    // Some errors repeat their cause in their own text.
    causes.dedup_by(|cause, before| before.contains(cause.as_str()));
    if causes.is_empty() {
        error.to_string()
    } else {
        causes.join(": ")
    }
}

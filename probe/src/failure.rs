//! What can go wrong with a request, each in one sentence.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// How much of a text from outside is shown, in characters.
pub(crate) const SHOWN: usize = 300;

/// Why a request gave no measurement. Texts from outside were cleaned before.
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
    /// A status that is no success.
    Status {
        status: StatusCode,
        detail: String,
        /// Which option may help.
        hint: Option<String>,
    },
    /// The endpoint is busy, and asks for more waiting than this tool does.
    Busy {
        status: StatusCode,
        retry_after: Option<Duration>,
        tries: u32,
        detail: String,
    },
    /// A success, but neither an event stream nor JSON.
    NoStream {
        content_type: String,
        detail: String,
    },
    /// An error inside of the stream.
    ErrorEvent { detail: String },
    /// An event that is no chunk of a chat.
    NoChunk { detail: String },
    /// The stream ended before the answer did.
    BrokeOff {
        pieces: u32,
        reason: String,
        /// The last event that was none of the interface.
        last: Option<String>,
    },
    /// The answer is encoded in a way that this tool does not know.
    Encoding { name: String },
    /// Nothing arrived for this long.
    Silent { limit: Duration },
    /// The answer was not over after this long.
    TookTooLong { pieces: u32, limit: Duration },
    /// The answer has more than any answer needs.
    TooMuch { what: &'static str },
}

impl Failure {
    /// Whether every other request would fail in the same way.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::OtherProtocol { .. }
            | Self::Busy { .. }
            | Self::Encoding { .. }
            | Self::NoStream { .. } => true,
            Self::Status { status, .. } => {
                !status.is_server_error() && *status != StatusCode::REQUEST_TIMEOUT
            }
            Self::Closed { .. }
            | Self::ErrorEvent { .. }
            | Self::NoChunk { .. }
            | Self::BrokeOff { .. }
            | Self::Silent { .. }
            | Self::TookTooLong { .. }
            | Self::TooMuch { .. } => false,
        }
    }

    /// Whether the endpoint understood the request and does not want it as it is.
    pub(crate) fn is_refusal(&self) -> bool {
        let refusals = [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY];
        matches!(self, Self::Status { status, .. } if refusals.contains(status))
    }

    /// Returns the status, if one arrived.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Connect { .. }
            | Self::OtherProtocol { .. }
            | Self::Closed { .. }
            | Self::Silent { .. } => None,
            Self::Status { status, .. } | Self::Busy { status, .. } => Some(*status),
            Self::NoStream { .. }
            | Self::Encoding { .. }
            | Self::ErrorEvent { .. }
            | Self::NoChunk { .. }
            | Self::BrokeOff { .. }
            | Self::TookTooLong { .. }
            | Self::TooMuch { .. } => Some(StatusCode::OK),
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
            Self::Status {
                status,
                detail,
                hint,
            } => {
                write!(
                    f,
                    "the endpoint answered {}{}",
                    named(*status),
                    behind_colon(detail)
                )?;
                match hint {
                    Some(hint) => write!(f, "\n{hint}"),
                    None => f.write_str(usual_hint(*status)),
                }
            }
            Self::Busy {
                status,
                retry_after,
                tries,
                detail,
            } => {
                let asks = retry_after.map_or_else(
                    || "does not say how long to wait".to_owned(),
                    |wait| format!("asks to wait {}", seconds(wait)),
                );
                let (status, tries) = (named(*status), count(*tries, "try", "tries"));
                let detail = behind_colon(detail);
                write!(
                    f,
                    "the endpoint answered {status} and {asks}; given up after {tries}{detail}"
                )
            }
            Self::NoStream {
                content_type,
                detail,
            } => write!(
                f,
                "the endpoint answered with {content_type} instead of an event stream{}",
                behind_colon(detail)
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
            Self::BrokeOff {
                pieces,
                reason,
                last,
            } => {
                let pieces = count(*pieces, "piece", "pieces");
                write!(
                    f,
                    "the stream broke off after {pieces} of the answer: {reason}"
                )?;
                match last {
                    Some(last) => write!(f, "; the last event was: {last}"),
                    None => Ok(()),
                }
            }
            Self::Encoding { name } => write!(
                f,
                "the answer has the content-encoding {name}, which this tool does not read\n\
                 It asks for `accept-encoding: identity`; --header can ask for something else."
            ),
            Self::TookTooLong { pieces, limit } => write!(
                f,
                "the answer was not over after {} s (--request-timeout) and {}",
                limit.as_secs(),
                count(*pieces, "piece", "pieces")
            ),
            Self::TooMuch { what } => write!(f, "the endpoint sent {what}: given up"),
            Self::Silent { limit } => {
                write!(f, "nothing arrived for {} s (--timeout)", limit.as_secs())
            }
        }
    }
}

fn count(number: u32, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Returns a status with its name, also where it is not a standard one.
fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// Writes a time in seconds, with a fraction where it has one.
pub(crate) fn seconds(time: Duration) -> String {
    if time.subsec_millis() == 0 {
        format!("{} s", time.as_secs())
    } else {
        format!("{:.3}", time.as_secs_f64())
            .trim_end_matches('0')
            .to_owned()
            + " s"
    }
}

fn behind_colon(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(": {detail}")
    }
}

fn usual_hint(status: StatusCode) -> &'static str {
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

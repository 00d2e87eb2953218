//! What can go wrong with a request, each with a message for the user.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// The most characters that are shown of a text from the endpoint.
pub(crate) const SHOWN: usize = 300;

/// The hint for an address that is likely wrong.
const FULL_ADDRESS: &str =
    "--url must be the full address, usually ending in /v1/chat/completions.";

/// Why a request gave no measurement. Texts from the endpoint are already cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection could not be established.
    Connect { endpoint: String, reason: String },
    /// The server speaks a different protocol.
    OtherProtocol {
        expected: &'static str,
        reason: String,
    },
    /// The connection was closed before an answer.
    Closed { reason: String },
    /// The status is not a success.
    Status {
        status: StatusCode,
        detail: String,
        /// The option that may help.
        hint: Option<String>,
    },
    /// The endpoint is busy for longer than the probe waits.
    Busy {
        status: StatusCode,
        retry_after: Option<Duration>,
        tries: u32,
        detail: String,
    },
    /// The status is a success, but the body is neither an event stream nor JSON.
    NoStream {
        content_type: String,
        detail: String,
    },
    /// The stream contains an error.
    ErrorEvent { detail: String },
    /// The stream contains an event that is not a JSON object.
    NotAnObject { detail: String },
    /// The stream ended before the answer did.
    BrokeOff {
        chunks: u32,
        reason: String,
        /// The last event that the API does not define.
        last: Option<String>,
    },
    /// The answer has a content encoding that the probe cannot decode.
    Encoding { name: String },
    /// No data arrived for this long.
    Silent { limit: Duration },
    /// The answer did not finish within this time.
    TookTooLong { chunks: u32, limit: Duration },
    /// The answer is larger than any answer needs to be.
    TooMuch { what: &'static str },
}

impl Failure {
    /// Whether every other request would fail the same way.
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
            | Self::NotAnObject { .. }
            | Self::BrokeOff { .. }
            | Self::Silent { .. }
            | Self::TookTooLong { .. }
            | Self::TooMuch { .. } => false,
        }
    }

    /// Whether the endpoint rejects the content of the request.
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
            | Self::NotAnObject { .. }
            | Self::BrokeOff { .. }
            | Self::TookTooLong { .. }
            | Self::TooMuch { .. } => Some(StatusCode::OK),
        }
    }
}

impl Failure {
    /// Returns what to try, if there is something to try.
    fn hint(&self) -> Option<&str> {
        let hint = match self {
            Self::Connect { reason, .. } if reason.contains("certificate") => {
                "SSL_CERT_FILE can name a file of other root certificates to trust."
            }
            Self::Connect { .. } => {
                "Check the host and the port of --url, and that the server is running."
            }
            Self::OtherProtocol { .. } => "Check the scheme and the port of --url.",
            Self::Busy { .. } => "Try again later, or with a lower --concurrency.",
            Self::NoStream { .. } => FULL_ADDRESS,
            Self::Encoding { .. } => {
                "It asks for `accept-encoding: identity`; --header can ask for a different one."
            }
            Self::Status { status, hint, .. } => {
                return hint.as_deref().or_else(|| status_hint(*status));
            }
            _ => return None,
        };
        Some(hint)
    }

    fn message(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { endpoint, reason } => {
                write!(f, "cannot connect to {endpoint}: {reason}")
            }
            Self::OtherProtocol { expected, reason } => {
                write!(f, "the endpoint does not speak {expected}: {reason}")
            }
            Self::Closed { reason } => {
                write!(
                    f,
                    "the endpoint closed the connection before answering: {reason}"
                )
            }
            Self::Status { status, detail, .. } => {
                let (status, detail) = (named(*status), after_colon(detail));
                write!(f, "the endpoint answered {status}{detail}")
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
                let detail = after_colon(detail);
                write!(
                    f,
                    "the endpoint answered {status} and {asks}; gave up after {tries}{detail}"
                )
            }
            Self::NoStream {
                content_type,
                detail,
            } => write!(
                f,
                "the endpoint answered with {content_type} instead of an event stream{}",
                after_colon(detail)
            ),
            Self::ErrorEvent { detail } => {
                write!(f, "the endpoint sent an error in the stream: {detail}")
            }
            Self::NotAnObject { detail } => {
                write!(
                    f,
                    "the stream contains an event that is not a JSON object: {detail}"
                )
            }
            Self::BrokeOff {
                chunks,
                reason,
                last,
            } => {
                let chunks = count(*chunks, "chunk", "chunks");
                write!(
                    f,
                    "the stream broke off after {chunks} of the answer: {reason}"
                )?;
                match last {
                    Some(last) => write!(f, "; the last unknown event was: {last}"),
                    None => Ok(()),
                }
            }
            Self::Encoding { name } => write!(
                f,
                "the answer has the content encoding {name}, which the probe cannot decode"
            ),
            Self::TookTooLong { chunks, limit } => write!(
                f,
                "the answer did not finish within {} s (--request-timeout); {} arrived",
                limit.as_secs(),
                count(*chunks, "chunk", "chunks")
            ),
            Self::TooMuch { what } => write!(f, "gave up on an answer: the endpoint sent {what}"),
            Self::Silent { limit } => {
                write!(f, "no data arrived for {} s (--timeout)", limit.as_secs())
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message(f)?;
        self.hint().map_or(Ok(()), |hint| write!(f, "\n{hint}"))
    }
}

fn count(number: u32, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Returns a status with its name, if it is a standard one.
fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// Writes a time in seconds, with a fraction if it has one.
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

fn after_colon(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(": {detail}")
    }
}

fn status_hint(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Some("Check the API key in the environment variable named by --api-key-env.")
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Some(FULL_ADDRESS),
        status if status.is_redirection() => {
            Some("Redirects are not followed; pass the final address as --url.")
        }
        _ => None,
    }
}

/// Joins the causes of an error, or returns its own text if it has none.
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

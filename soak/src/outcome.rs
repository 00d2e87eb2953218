//! How a request ended.

use std::error::Error;

use http::StatusCode;

/// How many faults of one sort are described; the others are only counted.
pub(crate) const MOST_DESCRIBED: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered completely and correctly.
    Answered,
    /// Refused with a status by the gateway or by the replica.
    Refused(StatusCode),
    /// Ended by an error of the connection or of the stream.
    Failed(String),
    /// Cancelled by the driver, as planned.
    Cancelled,
    /// Neither answered nor failed in time.
    Hung,
    /// Answered incorrectly.
    Wrong(String),
}

impl Outcome {
    pub(crate) fn failed(error: &dyn Error) -> Self {
        Self::Failed(with_causes(error))
    }

    /// Whether the outcome is right if the replica was down for part of the request.
    pub(crate) fn is_right_while_replica_is_down(&self) -> bool {
        match self {
            Self::Refused(status) => *status == StatusCode::BAD_GATEWAY,
            outcome => matches!(outcome, Self::Failed(_)),
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

//! One request, measured.

use std::time::Duration;

use serde::Serialize;

use crate::answer::{Answer, attempt};
use crate::client::Client;
use crate::conversation::Conversation;
use crate::failure::{Failure, seconds};
use crate::summary::Tokens;
use crate::usage::Usage;
use crate::variant::Variant;

/// How often a request is sent at most, while the endpoint is busy.
const TRIES: u32 = 4;

/// The longest wait that the probe accepts from an endpoint.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The measurement of one request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    #[serde(skip)]
    pub(crate) variant: Variant,
    /// The number of concurrent requests.
    pub(crate) concurrency: u32,
    pub(crate) conversation: u32,
    pub(crate) turn: u32,
    pub(crate) tries: u32,
    pub(crate) status: Option<u16>,
    /// From sending the last try to the first content or reasoning token.
    pub(crate) ttft_ms: Option<f64>,
    pub(crate) total_ms: Option<f64>,
    /// The token counts as the endpoint reported them.
    #[serde(flatten)]
    pub(crate) usage: Usage,
    /// The token counts after interpretation, if they are plausible.
    #[serde(skip)]
    pub(crate) tokens: Option<Tokens>,
    #[serde(skip)]
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) replica: Option<String>,
    pub(crate) failure: Option<String>,
}

/// Sends the conversation so far, and adds the answer to it.
pub(crate) async fn measure(
    client: &Client,
    conversation: &mut Conversation,
    turn: u32,
    note: impl Fn(&str),
) -> (Record, Option<Failure>) {
    let mut tries = 0;
    let result = loop {
        tries += 1;
        let result = attempt(client, conversation, tries).await;
        let Some(wait) = result
            .as_ref()
            .err()
            .and_then(|failure| wait(failure, tries))
        else {
            break result;
        };
        if let Err(Failure::Busy { status, .. }) = &result {
            let (status, wait) = (status.as_u16(), seconds(wait));
            note(&format!(
                "the endpoint is busy ({status}); trying again in {wait}"
            ));
        }
        tokio::time::sleep(wait).await;
    };
    let record = Record {
        tries,
        ..Record::new(conversation.variant, conversation.number, turn)
    };
    match result {
        Ok(answer) => {
            conversation.hear(answer.text());
            (record.measured(answer), None)
        }
        Err(failure) => (record.failed(&failure), Some(failure)),
    }
}

/// Returns how long to wait before another try, if there should be one.
fn wait(failure: &Failure, tries: u32) -> Option<Duration> {
    match failure {
        Failure::Busy { retry_after, .. } => {
            let wait = retry_after.unwrap_or(Duration::from_secs(1 << tries));
            (tries < TRIES && wait <= LONGEST_WAIT).then_some(wait)
        }
        // A server may close an idle connection just as the client reuses it.
        Failure::Closed { .. } if tries == 1 => Some(Duration::ZERO),
        _ => None,
    }
}

impl Record {
    pub(crate) fn new(variant: Variant, conversation: u32, turn: u32) -> Self {
        Self {
            variant,
            concurrency: 1,
            conversation,
            turn,
            tries: 1,
            status: None,
            ttft_ms: None,
            total_ms: None,
            usage: Usage::default(),
            tokens: None,
            prompt_tokens: None,
            replica: None,
            failure: None,
        }
    }

    fn measured(self, answer: Answer) -> Self {
        let millis = |duration: Duration| duration.as_secs_f64() * 1000.0;
        Self {
            status: Some(200),
            ttft_ms: answer.ttft.map(millis),
            total_ms: Some(millis(answer.total)),
            usage: answer.usage,
            replica: answer.replica,
            ..self
        }
    }

    fn failed(self, failure: &Failure) -> Self {
        Self {
            status: failure.status().map(|status| status.as_u16()),
            failure: Some(failure.to_string()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn busy(seconds: Option<u64>) -> Failure {
        Failure::Busy {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: seconds.map(Duration::from_secs),
            tries: 1,
            detail: String::new(),
        }
    }

    #[test]
    fn a_busy_endpoint_gets_the_wait_it_asks_for_up_to_a_minute_and_four_tries() {
        let seconds = |failure, tries| wait(&failure, tries).map(|wait| wait.as_secs());
        assert_eq!(seconds(busy(Some(60)), 1), Some(60));
        assert_eq!(seconds(busy(Some(61)), 1), None);
        assert_eq!(seconds(busy(Some(1)), TRIES), None);
    }

    #[test]
    fn without_retry_after_the_wait_doubles_with_each_try() {
        let seconds = [1, 2, 3].map(|tries| wait(&busy(None), tries).map(|wait| wait.as_secs()));
        assert_eq!(seconds, [Some(2), Some(4), Some(8)]);
    }
}

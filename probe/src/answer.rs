//! The answer to one request, read to its end.

use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::chunk::{Chunk, Usage};
use crate::client::Client;
use crate::conversation::Conversation;
use crate::failure::{Failure, causes};
use crate::sse::Events;

/// How much of a text from outside is shown, in characters.
const SHOWN: usize = 300;

/// How long the end of the body may be behind the last event.
const LINGER: Duration = Duration::from_millis(100);

/// What a stream came to.
#[derive(Debug)]
pub(crate) struct Answer {
    /// From the sending of the request to the first piece.
    pub(crate) ttft: Option<Duration>,
    /// From there to the last event.
    pub(crate) total: Duration,
    pub(crate) usage: Usage,
    pub(crate) replica: Option<String>,
    text: String,
    pieces: u32,
    /// The answer is whole, though its usage may still come.
    is_whole: bool,
    /// The stream said that nothing else will come.
    is_done: bool,
}

/// Sends a conversation as it stands and reads the answer.
pub(crate) async fn attempt(
    client: &Client,
    conversation: &Conversation,
    tries: u32,
) -> Result<Answer, Failure> {
    let start = Instant::now();
    let response = client.send(conversation).await?;
    let response = accept(client, response, tries).await?;
    let mut answer = Answer::new(client, response.headers());
    answer.read(client, response.into_body(), start).await?;
    Ok(answer)
}

impl Answer {
    fn new(client: &Client, headers: &HeaderMap) -> Self {
        let replica = headers.get(&client.replica_header);
        Self {
            ttft: None,
            total: Duration::ZERO,
            usage: Usage::from_headers(headers),
            replica: replica.map(|name| client.api_key.clean(name.as_bytes(), 100)),
            text: String::new(),
            pieces: 0,
            is_whole: false,
            is_done: false,
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Reads to the end, so that the usage is known and the connection can be used again.
    async fn read(
        &mut self,
        client: &Client,
        mut body: Incoming,
        start: Instant,
    ) -> Result<(), Failure> {
        let mut events = Events::default();
        while let Some(data) = self.next(client, &mut body).await? {
            let events = events.push(&data);
            let events = events.map_err(|_| no_chunk(client, b"it has over a megabyte"))?;
            for event in events {
                self.take(client, &event, start)?;
            }
        }
        Ok(())
    }

    /// Waits for the next bytes; `None` is the end of an answer that is complete.
    async fn next(
        &self,
        client: &Client,
        body: &mut Incoming,
    ) -> Result<Option<bytes::Bytes>, Failure> {
        let limit = if self.is_done { LINGER } else { client.timeout };
        let reason = match tokio::time::timeout(limit, body.frame()).await {
            Ok(Some(Ok(frame))) => return Ok(Some(frame.into_data().unwrap_or_default())),
            // What comes after the answer is of no interest, also not that it is missing.
            _ if self.is_whole => return Ok(None),
            Err(_) => return Err(Failure::Silent { limit }),
            Ok(Some(Err(error))) => causes(&error),
            Ok(None) => "it ended without a last chunk".to_owned(),
        };
        Err(Failure::BrokeOff {
            pieces: self.pieces,
            reason,
        })
    }

    fn take(&mut self, client: &Client, event: &[u8], start: Instant) -> Result<(), Failure> {
        self.total = start.elapsed();
        if event == b"[DONE]" {
            (self.is_whole, self.is_done) = (true, true);
            return Ok(());
        }
        let chunk = Chunk::parse(event).ok_or_else(|| no_chunk(client, event))?;
        if let Some(error) = chunk.error() {
            return Err(Failure::ErrorEvent {
                detail: client.api_key.clean(error.as_bytes(), SHOWN),
            });
        }
        if chunk.has_token() {
            self.ttft.get_or_insert(self.total);
            self.pieces += 1;
        }
        self.text += chunk.content();
        self.usage.update(&chunk);
        self.is_whole |= chunk.is_last();
        Ok(())
    }
}

/// Lets an event stream through and turns every other answer into a failure.
async fn accept(
    client: &Client,
    response: Response<Incoming>,
    tries: u32,
) -> Result<Response<Incoming>, Failure> {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.map_or(b"no content type".as_slice(), |value| value.as_bytes());
    if status == StatusCode::OK && content_type.starts_with(b"text/event-stream") {
        return Ok(response);
    }
    let content_type = client.api_key.clean(content_type, SHOWN);
    let retry_after = retry_after(response.headers());
    let detail = match response.headers().get(header::LOCATION) {
        Some(location) => {
            let location = client.api_key.clean(location.as_bytes(), SHOWN);
            format!("it points to {location}")
        }
        None => first_bytes(client, response.into_body()).await,
    };
    Err(match status {
        StatusCode::OK => Failure::NoStream {
            content_type,
            detail,
        },
        StatusCode::TOO_MANY_REQUESTS => Failure::RateLimited {
            retry_after,
            tries,
            detail,
        },
        _ => Failure::Status { status, detail },
    })
}

fn no_chunk(client: &Client, detail: &[u8]) -> Failure {
    Failure::NoChunk {
        detail: client.api_key.clean(detail, SHOWN),
    }
}

/// Returns the beginning of a body, fit to be shown.
async fn first_bytes(client: &Client, mut body: Incoming) -> String {
    // So much that a key which is cut off here is behind what is shown, were it all keys before.
    let enough = SHOWN * (1 + client.api_key.len());
    let mut bytes = Vec::new();
    while bytes.len() < enough {
        let Ok(Some(Ok(frame))) = tokio::time::timeout(client.timeout, body.frame()).await else {
            break;
        };
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    client.api_key.clean(&bytes, SHOWN)
}

/// Reads seconds or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn seconds(value: &str) -> Option<u64> {
        let value = HeaderValue::try_from(value).expect("valid");
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value)]);
        retry_after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn the_time_to_wait_is_read_as_seconds_and_as_a_date() {
        let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
        let in_an_hour = seconds(&httpdate::fmt_http_date(in_an_hour));
        assert!(
            in_an_hour.is_some_and(|wait| (3500..=3600).contains(&wait)),
            "{in_an_hour:?}"
        );
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
    }
}

//! One request, measured.

use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Serialize;

use crate::chunk::{Chunk, Usage};
use crate::client::Client;
use crate::conversation::{Arm, Conversation};
use crate::failure::{Failure, causes};
use crate::sse::Events;

/// How often a request is sent, at most, while the endpoint says that it is busy.
const TRIES: u32 = 4;

/// The longest wait that an endpoint can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How much of a text from outside is shown, in characters.
const SHOWN: usize = 300;

/// What is known of one request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    pub(crate) arm: Arm,
    pub(crate) conversation: u32,
    pub(crate) turn: u32,
    pub(crate) tries: u32,
    pub(crate) status: Option<u16>,
    /// From the last sending of the request to the first piece of the answer.
    pub(crate) ttft_ms: Option<f64>,
    pub(crate) total_ms: Option<f64>,
    #[serde(flatten)]
    pub(crate) usage: Usage,
    pub(crate) replica: Option<String>,
    pub(crate) failure: Option<String>,
}

/// What a stream came to.
#[derive(Debug)]
struct Answer {
    text: String,
    ttft: Option<Duration>,
    total: Duration,
    usage: Usage,
    replica: Option<String>,
}

/// Sends the next turn of a conversation; the answer becomes a part of it.
pub(crate) async fn measure(
    client: &Client,
    conversation: &mut Conversation,
    turn: u32,
    note: impl Fn(&str),
) -> (Record, Option<Failure>) {
    conversation.ask();
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
        if !wait.is_zero() {
            note(&format!(
                "the endpoint is busy (429); waiting {} s",
                wait.as_secs()
            ));
        }
        tokio::time::sleep(wait).await;
    };
    let mut record = Record {
        arm: conversation.arm,
        conversation: conversation.number,
        turn,
        tries,
        status: Some(200),
        ttft_ms: None,
        total_ms: None,
        usage: Usage::default(),
        replica: None,
        failure: None,
    };
    match result {
        Ok(answer) => {
            conversation.hear(&answer.text);
            record.ttft_ms = answer.ttft.map(millis);
            record.total_ms = Some(millis(answer.total));
            record.usage = answer.usage;
            record.replica = answer.replica;
            (record, None)
        }
        Err(failure) => {
            record.status = failure.status().map(|status| status.as_u16());
            record.failure = Some(failure.to_string());
            (record, Some(failure))
        }
    }
}

/// Returns how long to wait before the request is sent again, if it should be.
fn wait(failure: &Failure, tries: u32) -> Option<Duration> {
    match failure {
        Failure::RateLimited { retry_after, .. } => {
            let wait = retry_after.unwrap_or(Duration::from_secs(1 << tries));
            (tries < TRIES && wait <= LONGEST_WAIT).then_some(wait)
        }
        // A server may close a connection that it had promised to keep, just as it is used again.
        Failure::Closed { .. } if tries == 1 => Some(Duration::ZERO),
        _ => None,
    }
}

async fn attempt(
    client: &Client,
    conversation: &Conversation,
    tries: u32,
) -> Result<Answer, Failure> {
    let start = Instant::now();
    let response = client.send(conversation).await?;
    let response = accept(client, response, tries).await?;
    let replica = response.headers().get(&client.replica_header);
    let mut answer = Answer {
        text: String::new(),
        ttft: None,
        total: Duration::ZERO,
        usage: Usage::from_headers(response.headers()),
        replica: replica.map(|name| client.api_key.clean(name.as_bytes(), 100)),
    };
    read(client, response.into_body(), start, &mut answer).await?;
    answer.total = start.elapsed();
    Ok(answer)
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
    let location = response.headers().get(header::LOCATION).cloned();
    let retry_after = retry_after(response.headers());
    let mut detail = first_bytes(client, response.into_body()).await;
    if let Some(location) = location {
        let location = client.api_key.clean(location.as_bytes(), SHOWN);
        detail.insert_str(0, &format!("it points to {location} "));
    }
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

/// Reads a stream to its end, so that its usage is known and its connection can be used again.
async fn read(
    client: &Client,
    mut body: Incoming,
    start: Instant,
    answer: &mut Answer,
) -> Result<(), Failure> {
    let mut events = Events::default();
    let (mut pieces, mut is_over) = (0, false);
    let broke_off = |pieces, reason: String| Failure::BrokeOff {
        tokens: pieces,
        reason,
    };
    loop {
        let frame = tokio::time::timeout(client.timeout, body.frame()).await;
        let frame = match frame.map_err(|_| Failure::Silent {
            limit: client.timeout,
        })? {
            Some(Ok(frame)) => frame,
            // What comes after the answer is of no interest, also not that it is missing.
            _ if is_over => return Ok(()),
            Some(Err(error)) => return Err(broke_off(pieces, causes(&error))),
            None => {
                return Err(broke_off(
                    pieces,
                    "it ended without a last chunk".to_owned(),
                ));
            }
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let bad = |detail: &[u8]| Failure::BadEvent {
            detail: client.api_key.clean(detail, SHOWN),
        };
        for data in events
            .push(&data)
            .map_err(|_| bad(b"an event of over a megabyte"))?
        {
            if data == b"[DONE]" {
                is_over = true;
                continue;
            }
            let chunk = Chunk::parse(&data).ok_or_else(|| bad(&data))?;
            if let Some(error) = chunk.error() {
                return Err(bad(error.as_bytes()));
            }
            if chunk.has_token() {
                answer.ttft.get_or_insert_with(|| start.elapsed());
                pieces += 1;
            }
            answer.text += chunk.content();
            answer.usage.update(&chunk);
            is_over |= chunk.is_last();
        }
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

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

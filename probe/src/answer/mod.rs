//! The answer to one request, read to its end.

mod body;
mod busy;
mod framing;
mod sse;
mod status;
mod values;

use std::time::Duration;

use http::{HeaderMap, Response, header};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::Instant;

use crate::client::Client;
use crate::conversation::Conversation;
use crate::dialect::{End, message};
use crate::failure::{Failure, SHOWN, causes};
use crate::usage::Usage;
use body::{Body, Stopped};
use framing::Framing;
use status::accept;

pub(crate) use framing::Event;

/// How long to wait for the end of the body after the last event.
const LINGER: Duration = Duration::from_millis(100);

/// How long the body of an error is read at most.
const ERROR_BODY: Duration = Duration::from_secs(5);

/// The most bytes of an answer, and of its text.
const LONGEST_ANSWER: usize = 16 << 20;
const LONGEST_TEXT: usize = 256 << 10;

/// An answer as far as it was read.
#[derive(Debug)]
pub(crate) struct Answer {
    /// From sending the request to the first content or reasoning token.
    pub(crate) ttft: Option<Duration>,
    /// From sending the request to the last event.
    pub(crate) total: Duration,
    pub(crate) usage: Usage,
    pub(crate) replica: Option<String>,
    text: String,
    chunks: u32,
    bytes: usize,
    /// The last event that the API does not define, to show if the stream breaks off.
    unknown: Option<String>,
    /// When the answer was complete, although its usage may follow.
    complete_at: Option<Instant>,
    /// When the stream said that nothing follows.
    done_at: Option<Instant>,
}

/// Sends the conversation so far and reads the answer.
pub(crate) async fn attempt(
    client: &Client,
    conversation: &Conversation,
    tries: u32,
) -> Result<Answer, Failure> {
    let start = Instant::now();
    let response = client.send(conversation).await?;
    let response = accept(client, conversation, response, tries).await?;
    let mut answer = Answer::new(client, response.headers());
    answer.read(client, response, start).await?;
    Ok(answer)
}

impl Answer {
    fn new(client: &Client, headers: &HeaderMap) -> Self {
        let replica = headers.get(&client.replica_header);
        Self {
            ttft: None,
            total: Duration::ZERO,
            usage: Usage::from_headers(headers),
            replica: replica.map(|name| client.secrets.clean(name.as_bytes(), 100)),
            text: String::new(),
            chunks: 0,
            bytes: 0,
            unknown: None,
            complete_at: None,
            done_at: None,
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Reads to the end, where the usage is, and so that the connection can be reused.
    async fn read(
        &mut self,
        client: &Client,
        response: Response<Incoming>,
        start: Instant,
    ) -> Result<(), Failure> {
        let content_type = content_type(client, response.headers());
        let (head, body) = response.into_parts();
        let mut body = Body::new(&head.headers, body);
        let mut framing = Framing::new(Some(&content_type));
        while let Some(data) = self.next(client, &mut body, start).await? {
            self.bytes = self.bytes.saturating_add(data.len());
            let events = framing.push(&data);
            self.take_all(client, events, start)?;
            if framing.is_neither() {
                let rest = body.beginning(SHOWN, ERROR_BODY.min(client.timeout)).await;
                let _ = framing.push(&rest);
                break;
            }
        }
        self.take_all(client, framing.end(), start)?;
        if let Some(head) = framing.neither() {
            if head.trim_ascii().is_empty() {
                return Err(self.broke_off("the body was empty".to_owned()));
            }
            let detail = client.secrets.clean(head, SHOWN);
            return Err(Failure::NoStream {
                content_type,
                detail,
            });
        }
        self.complete_at
            .map(|_| ())
            .ok_or_else(|| self.broke_off("the final chunk is missing".to_owned()))
    }

    /// Waits for the next bytes; `None` means the end.
    async fn next(
        &self,
        client: &Client,
        body: &mut Body,
        start: Instant,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let silent_at = Instant::now() + client.timeout;
        let over_at = start + client.request_timeout;
        let complete_at = self.complete_at.map(|at| at + client.timeout);
        let done_at = self.done_at.map(|at| at + LINGER);
        let deadlines = [Some(silent_at), Some(over_at), complete_at, done_at];
        let deadline = deadlines.into_iter().flatten().min().unwrap_or(silent_at);
        let failure = match body.next(deadline).await {
            Ok([]) => return Ok(None),
            Ok(data) => return Ok(Some(data.to_vec())),
            // The answer is complete, so a failure after it does not matter.
            Err(_) if self.complete_at.is_some() => return Ok(None),
            Err(Stopped::Late) if deadline == over_at => Failure::TookTooLong {
                chunks: self.chunks,
                limit: client.request_timeout,
            },
            Err(Stopped::Late) => Failure::Silent {
                limit: client.timeout,
            },
            Err(Stopped::Encoding(name)) => {
                let name = client.secrets.clean(name.as_bytes(), SHOWN);
                Failure::Encoding { name }
            }
            Err(Stopped::Broken(error)) => {
                let reason = client.secrets.clean(causes(&error).as_bytes(), SHOWN);
                self.broke_off(reason)
            }
        };
        Err(failure)
    }

    fn broke_off(&self, reason: String) -> Failure {
        Failure::BrokeOff {
            chunks: self.chunks,
            reason,
            last: self.unknown.clone(),
        }
    }

    fn take_all(
        &mut self,
        client: &Client,
        events: Result<Vec<Event>, framing::TooLong>,
        start: Instant,
    ) -> Result<(), Failure> {
        for event in events.map_err(|_| Failure::TooMuch {
            what: "an event of over 1 MiB",
        })? {
            self.take(client, &event, start)?;
        }
        let what = match () {
            () if self.text.len() > LONGEST_TEXT => "text far beyond --max-tokens",
            () if self.bytes > LONGEST_ANSWER => "over 16 MiB",
            () => return Ok(()),
        };
        Err(Failure::TooMuch { what })
    }

    fn take(&mut self, client: &Client, event: &Event, start: Instant) -> Result<(), Failure> {
        if event.is_done() {
            self.end();
            return Ok(());
        }
        if event.name == "error" && event.data.is_empty() {
            return Err(Failure::ErrorEvent {
                detail: "it has no message".to_owned(),
            });
        }
        if event.is_idle() || self.done_at.is_some() {
            return Ok(());
        }
        let clean = |words: &str| client.secrets.clean(words.as_bytes(), SHOWN);
        let Ok(value) = serde_json::from_str::<Value>(&event.data) else {
            let detail = clean(&event.data);
            return Err(if event.name == "error" {
                Failure::ErrorEvent { detail }
            } else {
                Failure::NotAnObject { detail }
            });
        };
        if let Some(words) = message(event, &value) {
            return Err(Failure::ErrorEvent {
                detail: clean(&words),
            });
        }
        if !value.is_object() {
            return Err(Failure::NotAnObject {
                detail: clean(&event.data),
            });
        }
        self.total = start.elapsed();
        let piece = client.dialect.read(&value);
        if piece.is_token {
            self.ttft.get_or_insert(self.total);
            self.chunks += 1;
        }
        self.text += &piece.text;
        self.usage.update(&value);
        if !piece.is_known {
            self.unknown = Some(clean(&event.data));
        }
        match piece.end {
            None => {}
            Some(End::Complete) => _ = self.complete_at.get_or_insert_with(Instant::now),
            Some(End::Done) => self.end(),
            Some(End::GaveUp(reason)) => {
                let detail = format!("the finish reason is {:?}", clean(&reason));
                return Err(Failure::ErrorEvent { detail });
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        let now = Instant::now();
        self.complete_at.get_or_insert(now);
        self.done_at.get_or_insert(now);
    }
}

fn content_type(client: &Client, headers: &HeaderMap) -> String {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.map_or("no content type".to_owned(), |value| {
        client.secrets.clean(value.as_bytes(), SHOWN)
    })
}

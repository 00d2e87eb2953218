//! One request and what became of it.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_LENGTH};
use http_body_util::channel::{Channel, Sender as Chunks};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::time::{sleep, timeout};

use crate::answer::{BREAK, ECHO, FLOOD, HOLD};
use crate::connection::{Body, Sender};
use crate::keys;
use crate::ledger::{BROKEN, EXPECTED, ID};
use crate::plan::{Kind, Plan, Protocol};
use crate::raw;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With a whole answer, which is the right one.
    Answered,
    /// By a status of the gateway or of the replica.
    Refused(StatusCode),
    /// By an error of the connection or the stream.
    Failed(String),
    /// By the driver, as planned.
    Cancelled,
    /// Neither answered nor failed in time.
    Hung,
    /// With an answer that is not right.
    Wrong(String),
}

impl Outcome {
    /// Whether it is right where the replica was away for some of the time.
    pub(crate) fn is_for_want_of_the_replica(&self) -> bool {
        match self {
            Self::Refused(status) => *status == StatusCode::BAD_GATEWAY,
            outcome => matches!(outcome, Self::Failed(_)),
        }
    }
}

/// Sends a request of any kind.
pub(crate) async fn exchange(plan: &mut Plan, mut sender: Sender) -> Outcome {
    let sender = &mut sender;
    let exchanged = match plan.kind {
        // hyper's client sends no such bodies over HTTP/1.1.
        Kind::Malformed if plan.protocol == Protocol::Http1 => {
            return raw::exchange(plan, sender.gateway).await;
        }
        Kind::Small | Kind::LargeHeaders => echo(plan, sender).await,
        Kind::Streamed | Kind::Slow => stream(plan, sender).await,
        Kind::TooLargeHeaders | Kind::TooManyHeaders => bodiless(plan, sender, ECHO).await,
        Kind::BrokenByUpstream => bodiless(plan, sender, BREAK).await,
        Kind::Malformed => wrong_length(plan, sender).await,
        Kind::BrokenByCaller => break_off(plan, sender).await,
        Kind::CancelledEarly => cancel_early(plan, sender).await,
        Kind::CancelledLate => cancel_late(plan, sender).await,
    };
    exchanged.unwrap_or_else(|error| Outcome::Failed(in_words(&error)))
}

/// Returns the request with all its headers, but those of HTTP itself.
pub(crate) fn request<B>(plan: &Plan, path: &str, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    let uri = format!("/{}/{path}", plan.replica).try_into();
    *request.uri_mut() = uri.expect("a number and a word");
    let headers = request.headers_mut();
    headers.clone_from(&plan.headers);
    headers.insert(ID, plan.id.into());
    if let Some(key) = keys::expected(&plan.headers) {
        headers.insert(EXPECTED, key.clone());
    }
    if plan.kind.sends_a_broken_body() {
        headers.insert(BROKEN, HeaderValue::from_static("1"));
    }
    request
}

async fn echo(plan: &mut Plan, sender: &mut Sender) -> hyper::Result<Outcome> {
    let sent = chunk(&mut plan.rng, 1 << 10);
    let request = request(plan, ECHO, full(sent.clone()));
    let response = sender.send(request).await?;
    if let Some(outcome) = unanswered(plan, &response) {
        return Ok(outcome);
    }
    let received = response.into_body().collect().await?.to_bytes();
    Ok(same(&received, &sent))
}

async fn bodiless(plan: &Plan, sender: &mut Sender, path: &str) -> hyper::Result<Outcome> {
    read_whole(plan, sender, request(plan, path, full(Bytes::new()))).await
}

async fn stream(plan: &mut Plan, sender: &mut Sender) -> hyper::Result<Outcome> {
    let (mut chunks, mut response) = match open(plan, sender).await? {
        Ok(opened) => opened,
        Err(outcome) => return Ok(outcome),
    };
    for _ in 0..plan.rng.usize(1..=4) {
        if plan.kind == Kind::Slow {
            sleep(Duration::from_millis(plan.rng.u64(50..400))).await;
        }
        let sent = chunk(&mut plan.rng, 16 << 10);
        let received = there_and_back(&sent, &mut chunks, &mut response).await?;
        if received != sent {
            return Ok(Outcome::Wrong("another chunk came back".into()));
        }
    }
    drop(chunks);
    let rest = response.into_body().collect().await?.to_bytes();
    Ok(same(&rest, &[]))
}

async fn break_off(plan: &mut Plan, sender: &mut Sender) -> hyper::Result<Outcome> {
    let (mut chunks, mut response) = match open(plan, sender).await? {
        Ok(opened) => opened,
        Err(outcome) => return Ok(outcome),
    };
    let sent = chunk(&mut plan.rng, 16 << 10);
    there_and_back(&sent, &mut chunks, &mut response).await?;
    chunks.abort(io::Error::other("broken off"));
    response.into_body().collect().await?;
    Ok(Outcome::Answered)
}

/// Announces more bytes than it sends.
async fn wrong_length(plan: &mut Plan, sender: &mut Sender) -> hyper::Result<Outcome> {
    let body = full(chunk(&mut plan.rng, 1 << 10));
    let mut request = request(plan, ECHO, body);
    let length = HeaderValue::from_static("4096");
    request.headers_mut().insert(CONTENT_LENGTH, length);
    read_whole(plan, sender, request).await
}

/// Sends a request and reads its answer, whatever is in it.
async fn read_whole(
    plan: &Plan,
    sender: &mut Sender,
    request: Request<Body>,
) -> hyper::Result<Outcome> {
    let response = sender.send(request).await?;
    if let Some(outcome) = unanswered(plan, &response) {
        return Ok(outcome);
    }
    response.into_body().collect().await?;
    Ok(Outcome::Answered)
}

async fn cancel_early(plan: &mut Plan, sender: &mut Sender) -> hyper::Result<Outcome> {
    let body = full(chunk(&mut plan.rng, 1 << 10));
    let request = request(plan, HOLD, body);
    let moment = Duration::from_millis(plan.rng.u64(0..50));
    let Ok(response) = timeout(moment, sender.send(request)).await else {
        return Ok(Outcome::Cancelled);
    };
    let unanswered = unanswered(plan, &response?);
    Ok(unanswered.unwrap_or_else(|| Outcome::Wrong("an answer that was not given".into())))
}

async fn cancel_late(plan: &mut Plan, sender: &mut Sender) -> hyper::Result<Outcome> {
    let request = request(plan, FLOOD, full(Bytes::new()));
    let mut response = sender.send(request).await?;
    if let Some(outcome) = unanswered(plan, &response) {
        return Ok(outcome);
    }
    for _ in 0..plan.rng.usize(0..4) {
        if response.frame().await.transpose()?.is_none() {
            return Ok(Outcome::Answered);
        }
    }
    // Meanwhile the answer is not read.
    sleep(Duration::from_millis(plan.rng.u64(0..50))).await;
    Ok(Outcome::Cancelled)
}

type Opened = (Chunks<Bytes, io::Error>, Response<Incoming>);

/// Begins a request whose body is still to be sent.
async fn open(plan: &Plan, sender: &mut Sender) -> hyper::Result<Result<Opened, Outcome>> {
    let (chunks, body) = Channel::new(1);
    let response = sender
        .send(request(plan, ECHO, body.boxed_unsync()))
        .await?;
    Ok(unanswered(plan, &response).map_or(Ok((chunks, response)), Err))
}

async fn there_and_back(
    sent: &Bytes,
    chunks: &mut Chunks<Bytes, io::Error>,
    response: &mut Response<Incoming>,
) -> hyper::Result<Vec<u8>> {
    // Where the body is no longer wanted, the answer says why.
    let _ = chunks.send_data(sent.clone()).await;
    let mut received = Vec::new();
    while received.len() < sent.len() {
        let Some(frame) = response.frame().await.transpose()? else {
            break;
        };
        received.extend(frame.into_data().unwrap_or_default());
    }
    Ok(received)
}

/// Returns what a response is unless it is the answer of the replica to this request.
fn unanswered(plan: &Plan, response: &Response<Incoming>) -> Option<Outcome> {
    if response.status() != StatusCode::OK {
        return Some(Outcome::Refused(response.status()));
    }
    let other = response.headers().get(ID) != Some(&plan.id.into());
    other.then(|| Outcome::Wrong("the answer to another request".into()))
}

fn same(received: &[u8], sent: &[u8]) -> Outcome {
    if received == sent {
        return Outcome::Answered;
    }
    let (received, sent) = (received.len(), sent.len());
    Outcome::Wrong(format!("{received} bytes, and not the {sent} expected"))
}

fn chunk(rng: &mut Rng, most: usize) -> Bytes {
    vec![rng.u8(..); rng.usize(1..=most)].into()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Returns the error and its causes.
pub(crate) fn in_words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

//! Sends one request as its kind demands and checks the response.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_LENGTH};
use http_body_util::channel::{Channel, Sender as Chunks};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::time::{sleep, timeout};

use crate::connection::{Body, Sender};
use crate::outcome::Outcome;
use crate::plan::{Kind, Plan, Protocol};
use crate::raw;
use crate::wire::{BREAK, ECHO, FLOOD, HOLD, ID};

type Opened = (Chunks<Bytes, io::Error>, Response<Incoming>);

/// Sends a planned request of any kind.
pub(crate) async fn exchange(plan: &mut Plan, mut sender: Sender) -> Outcome {
    let sender = &mut sender;
    let exchanged = match plan.kind {
        // hyper's client refuses to send malformed bodies over HTTP/1.1.
        Kind::Malformed if plan.protocol == Protocol::Http1 => {
            return raw::exchange(plan, sender.gateway).await;
        }
        Kind::Small | Kind::LargeHeaders => echo(plan, sender).await,
        Kind::Streamed | Kind::Slow => stream(plan, sender).await,
        Kind::TooLargeHeaders | Kind::TooManyHeaders => bodiless(plan, sender, ECHO).await,
        Kind::BrokenByUpstream => bodiless(plan, sender, BREAK).await,
        Kind::Malformed => wrong_length(plan, sender).await,
        Kind::BrokenByCaller => abort(plan, sender).await,
        Kind::CancelledEarly => cancel_early(plan, sender).await,
        Kind::CancelledLate => cancel_late(plan, sender).await,
    };
    exchanged.unwrap_or_else(|error| Outcome::failed(&error))
}

async fn echo(plan: &mut Plan, sender: &mut Sender) -> hyper::Result<Outcome> {
    let sent = chunk(&mut plan.rng, 1 << 10);
    let request = plan.request(ECHO, full(sent.clone()));
    let response = sender.send(request).await?;
    if let Some(outcome) = unanswered(plan, &response) {
        return Ok(outcome);
    }
    let received = response.into_body().collect().await?.to_bytes();
    Ok(same(&received, &sent))
}

async fn bodiless(plan: &Plan, sender: &mut Sender, path: &str) -> hyper::Result<Outcome> {
    read_whole(plan, sender, plan.request(path, full(Bytes::new()))).await
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
        let received = round_trip(&sent, &mut chunks, &mut response).await?;
        if received != sent {
            return Ok(Outcome::Wrong("the echo is a different chunk".into()));
        }
    }
    drop(chunks);
    let rest = response.into_body().collect().await?.to_bytes();
    Ok(same(&rest, &[]))
}

async fn abort(plan: &mut Plan, sender: &mut Sender) -> hyper::Result<Outcome> {
    let (mut chunks, mut response) = match open(plan, sender).await? {
        Ok(opened) => opened,
        Err(outcome) => return Ok(outcome),
    };
    let sent = chunk(&mut plan.rng, 16 << 10);
    round_trip(&sent, &mut chunks, &mut response).await?;
    chunks.abort(io::Error::other("aborted as planned"));
    response.into_body().collect().await?;
    Ok(Outcome::Answered)
}

/// Announces more bytes than it sends.
async fn wrong_length(plan: &mut Plan, sender: &mut Sender) -> hyper::Result<Outcome> {
    let body = full(chunk(&mut plan.rng, 1 << 10));
    let mut request = plan.request(ECHO, body);
    let length = HeaderValue::from_static("4096");
    request.headers_mut().insert(CONTENT_LENGTH, length);
    read_whole(plan, sender, request).await
}

/// Sends a request and reads its response to the end, whatever it contains.
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
    let request = plan.request(HOLD, body);
    let moment = Duration::from_millis(plan.rng.u64(0..50));
    let Ok(response) = timeout(moment, sender.send(request)).await else {
        return Ok(Outcome::Cancelled);
    };
    let unanswered = unanswered(plan, &response?);
    Ok(unanswered.unwrap_or_else(|| Outcome::Wrong("a response that no replica gave".into())))
}

async fn cancel_late(plan: &mut Plan, sender: &mut Sender) -> hyper::Result<Outcome> {
    let request = plan.request(FLOOD, full(Bytes::new()));
    let mut response = sender.send(request).await?;
    if let Some(outcome) = unanswered(plan, &response) {
        return Ok(outcome);
    }
    for _ in 0..plan.rng.usize(0..4) {
        if response.frame().await.transpose()?.is_none() {
            return Ok(Outcome::Answered);
        }
    }
    // The response is not read meanwhile, so that it backs up.
    sleep(Duration::from_millis(plan.rng.u64(0..50))).await;
    Ok(Outcome::Cancelled)
}

/// Opens a request whose body is not sent yet.
async fn open(plan: &Plan, sender: &mut Sender) -> hyper::Result<Result<Opened, Outcome>> {
    let (chunks, body) = Channel::new(1);
    let request = plan.request(ECHO, body.boxed_unsync());
    let response = sender.send(request).await?;
    Ok(unanswered(plan, &response).map_or(Ok((chunks, response)), Err))
}

async fn round_trip(
    sent: &Bytes,
    chunks: &mut Chunks<Bytes, io::Error>,
    response: &mut Response<Incoming>,
) -> hyper::Result<Vec<u8>> {
    // If sending fails, the response says why.
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

/// Returns an outcome unless the response is the replica's answer to this request.
fn unanswered(plan: &Plan, response: &Response<Incoming>) -> Option<Outcome> {
    if response.status() != StatusCode::OK {
        return Some(Outcome::Refused(response.status()));
    }
    let other = response.headers().get(ID) != Some(&plan.id.into());
    other.then(|| Outcome::Wrong("the response to a different request".into()))
}

fn same(received: &[u8], sent: &[u8]) -> Outcome {
    if received == sent {
        return Outcome::Answered;
    }
    let (received, sent) = (received.len(), sent.len());
    Outcome::Wrong(format!(
        "expected an echo of {sent} bytes, received {received} that differ"
    ))
}

fn chunk(rng: &mut Rng, most: usize) -> Bytes {
    vec![rng.u8(..); rng.usize(1..=most)].into()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

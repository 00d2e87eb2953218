//! The session in a body field: what arrives, byte by byte and frame by frame.
#![cfg(feature = "body-field")]

mod allocations;
mod bytes;
mod frames;
mod heads;
#[cfg(feature = "tracing")]
#[path = "../support/log.rs"]
mod log;
mod outcomes;
mod properties;
mod script;
mod targets;
mod two_carriers;
mod wire;

use std::convert::Infallible;
use std::future::{Ready, ready};

use futures_util::FutureExt;
use http::Request;
use http_body::Body;
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_session_affinity::{AffinityKey, FieldBody, KeyExtractor, PromptCacheKeyLayer};

use script::Script;

const CHAT: &str = "https://api.openai.com/v1/chat/completions";

const KEY: AffinityKey = AffinityKey::from_static("chat-7");

/// The member that carries [`KEY`] in an object with other members.
const MEMBER: &str = r#","prompt_cache_key":"chat-7""#;

/// Returns a chat request as a client of OpenAI sends it.
fn chat<B>(body: B) -> Request<B> {
    let request = Request::post(CHAT).header("content-type", "application/json");
    request.body(body).unwrap()
}

/// Sends a request through the layer, and returns it as the inner service receives it.
fn send<K, B>(layer: &PromptCacheKeyLayer<K>, request: Request<B>) -> Request<FieldBody<B>>
where
    K: KeyExtractor + Clone,
    B: Body,
{
    let inner = service_fn(|request| -> Ready<Result<_, Infallible>> { ready(Ok(request)) });
    let sent = layer.layer(inner).oneshot(request).now_or_never();
    sent.expect("the layer is ready at once").unwrap()
}

/// Reads a body to its end. Panics if the body is pending or fails.
fn read<B: Body<Error: std::fmt::Debug>>(body: B) -> Vec<u8> {
    let collected = body.collect().now_or_never();
    collected
        .expect("the body is ready at once")
        .unwrap()
        .to_bytes()
        .into()
}

/// Returns the body that arrives if these chunks are sent.
fn arriving<const N: usize>(chunks: [&str; N]) -> String {
    let layer = PromptCacheKeyLayer::new().or(KEY);
    let arrived = read(send(&layer, chat(Script::of(chunks))).into_body());
    String::from_utf8(arrived).unwrap()
}

/// Returns the text, followed by as many spaces as the member has bytes.
fn padded(text: &str) -> String {
    format!("{text}{}", " ".repeat(MEMBER.len()))
}

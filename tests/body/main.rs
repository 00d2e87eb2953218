//! The session in the body: what arrives, byte by byte and frame by frame.
#![cfg(feature = "body-field")]

mod allocations;
mod bytes;
mod frames;
mod heads;
mod outcomes;
mod properties;
mod script;
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

/// What is written of [`KEY`] into an object that has other members.
const MEMBER: &str = r#","prompt_cache_key":"chat-7""#;

/// A request for a chat, as any client of OpenAI makes it.
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
    sent.expect("the layer waits for nothing").unwrap()
}

/// Reads a body to its end; one that waits, or fails, fails the test.
fn read<B: Body<Error: std::fmt::Debug>>(body: B) -> Vec<u8> {
    let collected = body.collect().now_or_never();
    collected
        .expect("the body waits for nothing")
        .unwrap()
        .to_bytes()
        .into()
}

/// Returns what arrives of these chunks.
fn arriving<const N: usize>(chunks: [&str; N]) -> String {
    let layer = PromptCacheKeyLayer::new().or(KEY);
    let arrived = read(send(&layer, chat(Script::of(chunks))).into_body());
    String::from_utf8(arrived).unwrap()
}

/// Returns the text with as many spaces behind it as the member has bytes.
fn padded(text: &str) -> String {
    format!("{text}{}", " ".repeat(MEMBER.len()))
}

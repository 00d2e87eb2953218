//! What a body allocates in addition because of the layer.

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::Request;
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower_session_affinity::{FieldBody, PromptCacheKeyLayer};

use crate::{KEY, chat, send};

/// A prompt of 64 KiB.
fn prompt() -> String {
    let message = r#"{"role":"user","content":"What does \"prefix\" mean?\n"},"#;
    let messages = message.repeat(64 * 1024 / message.len());
    format!(r#"{{"model":"gpt-5","messages":[{messages}null]}}"#)
}

fn drain(mut body: impl Body<Data = Bytes, Error: std::fmt::Debug> + Unpin) {
    while let Some(frame) = body.frame().now_or_never().unwrap() {
        drop(frame.unwrap());
    }
}

/// Counts the allocations of the layer and its body.
fn allocations(request: Request<Full<Bytes>>) -> u64 {
    let layer = PromptCacheKeyLayer::new().or(KEY);
    // With the feature `tracing`, the first clone allocates state that all clones share.
    drop(layer.clone());
    let mut request = Some(request);
    measure(|| drain(send(&layer, request.take().unwrap()).into_body())).count_total
}

#[test]
fn the_member_is_the_only_allocation() {
    let mut text = BytesMut::from(&prompt()[..]);
    text.reserve(1);
    assert_eq!(allocations(chat(Full::new(text.freeze()))), 1);
}

#[test]
fn bytes_that_were_never_split_also_allocate_their_reference_count() {
    let text = prompt().into_bytes().into_boxed_slice();
    assert_eq!(allocations(chat(Full::new(Bytes::from(text)))), 2);
}

#[test]
fn a_body_that_passes_through_allocates_nothing() {
    let text = Bytes::from(prompt());
    let mut body = Some(FieldBody::from(Full::new(text)));
    let counted = measure(|| drain(body.take().unwrap()));
    assert_eq!(counted.count_total, 0, "expected no allocation");
}

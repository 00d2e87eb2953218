//! What the benchmarks send.

use std::hint::black_box;

use http::Request;
use tower_session_affinity::AffinityKey;

/// The first five are those of a typical request to a language model.
const HEADERS: [&str; 13] = [
    "host",
    "user-agent",
    "accept",
    "content-type",
    "authorization",
    "accept-encoding",
    "x-request-id",
    "traceparent",
    "content-length",
    "x-stainless-lang",
    "origin",
    "x-forwarded-for",
    "cookie",
];

/// Returns a key that was made at run time, as ids are.
pub(crate) fn key() -> AffinityKey {
    black_box("chat-0123456789").parse().expect("a valid key")
}

pub(crate) fn request(headers: usize) -> Request<()> {
    let mut request = Request::post("https://api.example.com/v1/chat/completions");
    for index in 0..headers {
        request = match HEADERS.get(index) {
            Some(name) => request.header(*name, "value"),
            None => request.header(format!("x-header-{index}"), "value"),
        };
    }
    request.body(()).expect("a valid request")
}

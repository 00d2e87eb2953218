//! One table for two layers: the header layer and the body layer.

use std::convert::Infallible;
use std::future::{Ready, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Uri};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{
    Destination, Destinations, FieldBody, FromHeaders, KeyExtractor, PromptCacheKeyLayer,
    SessionAffinityLayer, header,
};

use crate::{KEY, chat, read};

type Prompt = Request<Full<Bytes>>;

fn to(uri: &'static str) -> Prompt {
    let mut request = chat(Full::from(r#"{"a":1}"#));
    *request.uri_mut() = Uri::from_static(uri);
    request
}

fn to_mistral() -> Prompt {
    to("https://api.mistral.ai/v1/chat/completions")
}

fn with_session(mut request: Prompt, id: &str) -> Prompt {
    let headers = request.headers_mut();
    headers.insert(header::X_SESSION_ID, id.parse().unwrap());
    request
}

/// Returns a header layer over the known destinations, still without a fallback key.
fn header_layer() -> SessionAffinityLayer {
    SessionAffinityLayer::new().destinations(Destinations::known())
}

/// Sends a request through both layers and returns where the session arrives, in headers and field.
fn arriving(
    body: PromptCacheKeyLayer<impl KeyExtractor + Clone>,
    header: SessionAffinityLayer<impl KeyExtractor + Clone>,
    request: Prompt,
) -> Vec<String> {
    let hand_back =
        |request: Request<FieldBody<_>>| -> Ready<Result<_, Infallible>> { ready(Ok(request)) };
    let stack = ServiceBuilder::new()
        .layer(body)
        .layer(header)
        .service(service_fn(hand_back));
    let sent = stack.oneshot(request).now_or_never().unwrap().unwrap();

    let headers = sent.headers().iter();
    let headers = headers.filter(|(name, _)| *name != "content-type");
    let headers = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    let mut lines: Vec<_> = headers.collect();
    let text: serde_json::Value = serde_json::from_slice(&read(sent.into_body())).unwrap();
    if let Some(field) = text["prompt_cache_key"].as_str() {
        lines.push(format!("field: {field}"));
    }
    lines
}

#[test]
fn each_provider_gets_the_session_where_it_reads_it() {
    for (uri, expected) in [
        (
            "https://api.openai.com/v1/responses",
            &["field: chat-7"][..],
        ),
        ("https://api.openai.com/v1/models", &[]),
        ("https://api.x.ai/v1/responses", &["field: chat-7"]),
        (
            "https://api.x.ai/v1/chat/completions",
            &["x-grok-conv-id: chat-7"],
        ),
        (
            "https://api.mistral.ai/v1/chat/completions",
            &["x-affinity: chat-7", "field: chat-7"],
        ),
        (
            "https://api.fireworks.ai/inference/v1",
            &["x-session-affinity: chat-7"],
        ),
        ("https://api.groq.com/openai/v1/chat/completions", &[]),
        ("https://evil.example/v1/chat/completions", &[]),
    ] {
        let body = PromptCacheKeyLayer::new().or(KEY);
        let arrived = arriving(body, header_layer().or(KEY), to(uri));
        assert_eq!(arrived, expected, "{uri}");
    }
}

#[test]
fn one_row_can_name_a_header_and_a_body_field() {
    let row = Destination::header("a.example", "x-session-id").unwrap();
    let table = Destinations::from(row.with_body_field("prompt_cache_key").unwrap());
    let body = PromptCacheKeyLayer::new()
        .or(KEY)
        .destinations(table.clone());
    let header = SessionAffinityLayer::new().or(KEY).destinations(table);
    let arrived = arriving(body, header, to("https://a.example/"));
    assert_eq!(arrived, ["x-session-id: chat-7", "field: chat-7"]);
}

#[test]
fn both_layers_send_the_session_of_one_inbound_header() {
    let body = PromptCacheKeyLayer::new().or(FromHeaders::new(header::CALLER_SESSIONS));
    let header = header_layer().adopt(header::CALLER_SESSIONS);
    let arrived = arriving(body, header, with_session(to_mistral(), "theirs"));
    assert_eq!(arrived, ["x-affinity: theirs", "field: theirs"]);
}

#[cfg(feature = "hmac")]
mod derived {
    use tower_session_affinity::{AffinityKey, AffinitySecret};

    use super::*;

    const NAMES: [http::HeaderName; 1] = [header::X_SESSION_ID];

    fn secret() -> AffinitySecret {
        AffinitySecret::new(&[7; 32]).unwrap()
    }

    #[test]
    fn a_derived_key_is_the_same_in_header_and_body() {
        let raw = AffinityKey::from_static("alice@example.com");
        let body = PromptCacheKeyLayer::new().or(raw.clone());
        let header = header_layer().or(raw);
        let per_host = arriving(
            body.clone().derive_per_host(secret()),
            header.clone().derive_per_host(secret()),
            to_mistral(),
        );
        let labelled = arriving(
            body.derive_for(secret(), "api.mistral.ai"),
            header.derive_for(secret(), "api.mistral.ai"),
            to_mistral(),
        );
        let [in_header, in_field] = &per_host[..] else {
            panic!("expected a header and a field, found {per_host:?}")
        };
        let key = in_header.strip_prefix("x-affinity: ").unwrap();
        assert_eq!(key.len(), 36, "expected a derived key, found {key}");
        assert_eq!(*in_field, format!("field: {key}"));
        assert_eq!(labelled, per_host);
    }

    #[test]
    fn a_key_derived_from_a_header_is_the_same_in_header_and_body() {
        let key = secret().key_for(["alice, 7"]);
        let expected = [
            format!("x-affinity: {}", key.as_str()),
            format!("field: {}", key.as_str()),
        ];
        let request = with_session(to_mistral(), "alice, 7");

        let alone = PromptCacheKeyLayer::new().adopt_derived(NAMES, secret());
        assert_eq!(
            arriving(alone, header_layer(), request.clone()),
            expected[1..]
        );

        let read = FromHeaders::new(NAMES).derived(secret());
        let body = PromptCacheKeyLayer::new().or(read);
        let header = header_layer().adopt_derived(NAMES, secret());
        assert_eq!(arriving(body, header, request), expected);
    }

    #[test]
    fn a_derived_key_fits_where_the_raw_one_does_not() {
        let long: AffinityKey = "k".repeat(255).parse().unwrap();
        let body = PromptCacheKeyLayer::new()
            .or(long)
            .derive_per_host(secret());
        let request = to("https://api.openai.com/v1/responses");
        let arrived = arriving(body, header_layer(), request);
        assert_eq!(arrived[0].len(), "field: ".len() + 36);
    }
}

//! One decision, two carriers: the header layer and this one over one table.

use std::convert::Infallible;
use std::future::{Ready, ready};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Uri};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{
    Destination, Destinations, FieldBody, FromHeaders, PromptCacheKeyLayer, SessionAffinityLayer,
    header,
};

use crate::{KEY, chat, read};

const TEXT: &str = r#"{"a":1}"#;

/// The affinity headers that arrive, and the field.
type Arrived = (Vec<(String, String)>, Option<String>);

fn through(
    body: &PromptCacheKeyLayer<impl Key>,
    header: &SessionAffinityLayer<impl Key>,
    request: Request<Full<Bytes>>,
) -> Arrived {
    let inner = service_fn(
        |request: Request<FieldBody<Full<Bytes>>>| -> Ready<Result<_, Infallible>> {
            ready(Ok(request))
        },
    );
    let stack = ServiceBuilder::new()
        .layer(body.clone())
        .layer(header.clone())
        .service(inner);
    let (parts, body) = stack
        .oneshot(request)
        .now_or_never()
        .unwrap()
        .unwrap()
        .into_parts();
    let text: serde_json::Value = serde_json::from_slice(&read(body)).unwrap();
    let field = text["prompt_cache_key"].as_str().map(str::to_owned);
    (affinity(&parts.headers), field)
}

trait Key: tower_session_affinity::KeyExtractor + Clone {}
impl<K: tower_session_affinity::KeyExtractor + Clone> Key for K {}

fn affinity(headers: &HeaderMap) -> Vec<(String, String)> {
    let pairs = headers
        .iter()
        .filter(|(name, _)| name.as_str() != "content-type");
    pairs
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

fn to(uri: &'static str) -> Request<Full<Bytes>> {
    let mut request = chat(Full::from(TEXT));
    *request.uri_mut() = Uri::from_static(uri);
    request
}

fn pair(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

fn own(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn each_provider_gets_the_session_where_it_reads_it() {
    let body = PromptCacheKeyLayer::new().or(KEY);
    let header = SessionAffinityLayer::new()
        .or(KEY)
        .destinations(Destinations::known());
    for (uri, expected) in [
        (
            "https://api.openai.com/v1/responses",
            (vec![], own("chat-7")),
        ),
        ("https://api.openai.com/v1/models", (vec![], None)),
        ("https://api.x.ai/v1/responses", (vec![], own("chat-7"))),
        (
            "https://api.x.ai/v1/chat/completions",
            (pair("x-grok-conv-id", "chat-7"), None),
        ),
        (
            "https://api.mistral.ai/v1/chat/completions",
            (pair("x-affinity", "chat-7"), own("chat-7")),
        ),
        (
            "https://api.fireworks.ai/inference/v1/chat/completions",
            (pair("x-session-affinity", "chat-7"), None),
        ),
        (
            "https://api.groq.com/openai/v1/chat/completions",
            (vec![], None),
        ),
        ("https://evil.example/v1/chat/completions", (vec![], None)),
    ] {
        assert_eq!(through(&body, &header, to(uri)), expected, "{uri}");
    }
}

#[test]
fn one_row_can_name_both() {
    let row = Destination::header("a.example", "x-session-id").unwrap();
    let table = Destinations::from(row.with_body_field("prompt_cache_key").unwrap());
    let body = PromptCacheKeyLayer::new()
        .or(KEY)
        .destinations(table.clone());
    let header = SessionAffinityLayer::new().or(KEY).destinations(table);
    let arrived = through(&body, &header, to("https://a.example/"));
    assert_eq!(arrived, (pair("x-session-id", "chat-7"), own("chat-7")));
}

#[test]
fn the_header_layer_adopts_what_this_one_reads() {
    let body = PromptCacheKeyLayer::new().or(FromHeaders::new(header::CALLER_SESSIONS));
    let header = SessionAffinityLayer::new()
        .destinations(Destinations::known())
        .adopt(header::CALLER_SESSIONS);
    let mut request = to("https://api.openai.com/v1/responses");
    request
        .headers_mut()
        .insert("x-session-id", "theirs".parse().unwrap());
    assert_eq!(through(&body, &header, request), (vec![], own("theirs")));
}

#[cfg(feature = "hmac")]
mod derived {
    use tower_session_affinity::{AffinityKey, AffinitySecret};

    use super::*;

    fn secret() -> AffinitySecret {
        AffinitySecret::new(&[7; 32]).unwrap()
    }

    fn mistral() -> Request<Full<Bytes>> {
        to("https://api.mistral.ai/v1/chat/completions")
    }

    #[test]
    fn a_derived_key_is_the_same_in_both() {
        let raw = || AffinityKey::from_static("alice@example.com");
        let body = PromptCacheKeyLayer::new().or(raw());
        let header = SessionAffinityLayer::new()
            .or(raw())
            .destinations(Destinations::known());
        let per_host = (
            body.clone().derive_per_host(secret()),
            header.clone().derive_per_host(secret()),
        );
        let labelled = (
            body.derive_for(secret(), "a"),
            header.derive_for(secret(), "a"),
        );
        for (body, header) in [per_host, labelled] {
            let (headers, field) = through(&body, &header, mistral());
            let field = field.unwrap();
            assert_eq!(headers, pair("x-affinity", &field));
            assert_eq!(field.len(), 36);
        }
    }

    #[test]
    fn a_key_derived_from_any_header_is_the_same_in_both() {
        let names = [header::X_SESSION_ID];
        let body = PromptCacheKeyLayer::new().adopt_derived(names.clone(), secret());
        let expected = secret().key_for(["alice, 7"]);
        let mut request = mistral();
        request
            .headers_mut()
            .insert("x-session-id", "alice, 7".parse().unwrap());
        let none = SessionAffinityLayer::new().destinations(Destinations::known());
        let arrived = through(&body, &none, request.clone());
        assert_eq!(arrived, (vec![], own(expected.as_str())));

        let read = FromHeaders::new(names.clone()).derived(secret());
        let body = PromptCacheKeyLayer::new().or(read);
        let header = SessionAffinityLayer::new()
            .destinations(Destinations::known())
            .adopt_derived(names, secret());
        let arrived = through(&body, &header, request);
        assert_eq!(
            arrived,
            (
                pair("x-affinity", expected.as_str()),
                own(expected.as_str())
            )
        );
    }

    #[test]
    fn a_derived_key_fits_where_the_raw_one_does_not() {
        let long: AffinityKey = "k".repeat(255).parse().unwrap();
        let body = PromptCacheKeyLayer::new()
            .or(long)
            .derive_per_host(secret());
        let header = SessionAffinityLayer::new().destinations(Destinations::known());
        let arrived = through(&body, &header, to("https://api.openai.com/v1/responses"));
        assert_eq!(arrived.1.unwrap().len(), 36);
    }
}

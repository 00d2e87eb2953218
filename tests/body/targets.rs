//! Which destinations get the field, and with which key.

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use http_body_util::{BodyExt, Full};
use tower_session_affinity::{
    AffinityKey, Destination, Destinations, FromHeaders, NoAffinity, PromptCacheKeyLayer, header,
};

use crate::heads::{TEXT, gets_field, request};
use crate::{CHAT, KEY, chat, read, send};

/// Returns the field that a request to this URI gets from the default table.
fn field_at(uri: &str) -> Option<String> {
    let mut request = request();
    *request.uri_mut() = Uri::try_from(uri).unwrap();
    let sent = send(&PromptCacheKeyLayer::new().or(KEY), request);
    let text: serde_json::Value = serde_json::from_slice(&read(sent.into_body())).unwrap();
    let mut names = text.as_object().unwrap().keys();
    names.find(|name| *name != "a").cloned()
}

#[test]
fn the_known_destinations_get_the_field_at_the_paths_that_read_it() {
    for uri in [
        CHAT,
        "https://api.openai.com/v1/responses",
        "https://API.openai.com:443/v1/responses/?stream=true",
        "https://api.x.ai/v1/responses",
        "https://api.mistral.ai/v1/chat/completions",
    ] {
        assert_eq!(field_at(uri).as_deref(), Some("prompt_cache_key"), "{uri}");
    }
}

#[test]
fn other_hosts_and_paths_get_nothing() {
    for uri in [
        "https://api.openai.com/v1/embeddings",
        "https://api.openai.com/v1/responses/resp_1/cancel",
        "https://api.x.ai/v1/chat/completions",
        "https://api.mistral.ai/v1/fim/completions",
        // These answer an unknown field with 400 or 422.
        "https://api.groq.com/openai/v1/chat/completions",
        "https://api.cerebras.ai/v1/chat/completions",
        "https://integrate.api.nvidia.com/v1/chat/completions",
        "https://mine.openai.azure.com/openai/v1/chat/completions",
        "https://openrouter.ai/api/v1/chat/completions",
        "https://api.openai.com.evil.example/v1/chat/completions",
        "https://evil.example/v1/chat/completions",
        "http://127.0.0.1/v1/chat/completions",
        "/v1/chat/completions",
    ] {
        assert_eq!(field_at(uri), None, "{uri}");
    }
}

#[test]
fn a_custom_table_names_the_field() {
    let row = Destination::body_field("openrouter.ai", "session_id").unwrap();
    let layer = PromptCacheKeyLayer::new()
        .or(KEY)
        .destinations(Destinations::from(row));
    for (uri, expected) in [
        (
            "https://openrouter.ai/api/v1/chat/completions",
            r#"{"a":1,"session_id":"chat-7"}"#,
        ),
        (CHAT, TEXT),
    ] {
        let mut request = request();
        *request.uri_mut() = Uri::from_static(uri);
        assert_eq!(read(send(&layer, request).into_body()), expected.as_bytes());
    }
}

#[test]
fn a_key_over_the_rows_limit_is_not_sent() {
    for (len, is_sent) in [(64, true), (65, false)] {
        let key: AffinityKey = "k".repeat(len).parse().unwrap();
        let sent = send(&PromptCacheKeyLayer::new().or(key), request());
        assert_eq!(read(sent.into_body()).len() > TEXT.len(), is_sent, "{len}");
    }
    // The length of the key counts, without its escapes.
    let key: AffinityKey = "\"".repeat(64).parse().unwrap();
    let sent = send(&PromptCacheKeyLayer::new().or(key), request());
    assert!(read(sent.into_body()).len() > TEXT.len() + 128);
}

#[test]
fn the_key_comes_from_the_extensions_first_then_from_the_fallbacks() {
    let layer = PromptCacheKeyLayer::new()
        .or(FromHeaders::new([header::X_SESSION_ID]))
        .or_fn(|req| req.key("x-user-id"))
        .or(AffinityKey::from_static("last"));
    let mut request = request();
    for (name, value) in [
        ("last", "x"),
        ("x-user-id", "user"),
        ("x-session-id", "session"),
    ] {
        let found = if name == "last" { "last" } else { value };
        request
            .headers_mut()
            .insert(HeaderName::from_static(name), value.parse().unwrap());
        let body = read(send(&layer, request.clone()).into_body());
        assert!(
            body.ends_with(format!("\"{found}\"}}").as_bytes()),
            "{name}"
        );
    }
    request.extensions_mut().insert(KEY);
    let body = read(send(&layer, request.clone()).into_body());
    assert!(body.ends_with(b"\"chat-7\"}"));
    let other = PromptCacheKeyLayer::from_source(AffinityKey::from_static("other"));
    let body = read(send(&other, request).into_body());
    assert!(body.ends_with(b"\"other\"}"));
}

#[test]
fn no_affinity_writes_nothing_and_leaves_the_callers_field() {
    let layer = PromptCacheKeyLayer::new().or(KEY);
    for text in [TEXT, r#"{"prompt_cache_key":"theirs"}"#] {
        let mut request = chat(Full::<Bytes>::from(text));
        request.extensions_mut().insert(NoAffinity);
        assert_eq!(read(send(&layer, request).into_body()), text.as_bytes());
    }
}

#[test]
fn without_a_key_the_callers_frames_pass_through() {
    let text = Bytes::from_static(TEXT.as_bytes());
    let sent = send(&PromptCacheKeyLayer::new(), chat(Full::new(text.clone())));
    let mut body = sent.into_body();
    let frame = futures_util::FutureExt::now_or_never(body.frame());
    let data = frame.unwrap().unwrap().unwrap().into_data().unwrap();
    assert_eq!((data.as_ptr(), data.len()), (text.as_ptr(), text.len()));
}

#[test]
fn an_adopted_header_is_removed_whatever_the_outcome() {
    let layer = PromptCacheKeyLayer::new().adopt([header::X_SESSION_ID]);
    for (uri, expected) in [
        (CHAT, r#"{"a":1,"prompt_cache_key":"theirs"}"#),
        ("https://evil.example/", TEXT),
    ] {
        let mut request = request();
        *request.uri_mut() = Uri::from_static(uri);
        request
            .headers_mut()
            .insert("x-session-id", HeaderValue::from_static("theirs"));
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_static("api.openai.com"));
        let sent = send(&layer, request);
        assert_eq!(sent.headers().get("x-session-id"), None);
        assert_eq!(sent.headers()[HOST], "api.openai.com");
        assert_eq!(read(sent.into_body()), expected.as_bytes());
    }
}

#[test]
fn the_body_layer_does_not_touch_the_headers_of_the_table() {
    let mut request = request();
    let headers = HeaderMap::from_iter([(header::X_GROK_CONV_ID, HeaderValue::from_static("c"))]);
    request.headers_mut().extend(headers);
    assert!(gets_field(request));
}

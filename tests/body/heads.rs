//! Which requests get the field, as decided from their head.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Empty, Full};
use tower_session_affinity::{
    AffinityKey, Destination, Destinations, FromHeaders, NoAffinity, PromptCacheKeyLayer, header,
};

use crate::{CHAT, KEY, MEMBER, chat, read, send};

const TEXT: &str = r#"{"a":1}"#;

/// Returns a chat request that announces its length.
fn request() -> Request<Full<Bytes>> {
    let mut request = chat(Full::from(TEXT));
    let length = HeaderValue::from(TEXT.len());
    request.headers_mut().insert(CONTENT_LENGTH, length);
    request
}

/// Returns whether the request gets the field; asserts that its length is right and nothing else changes.
#[track_caller]
fn gets_field(request: Request<Full<Bytes>>) -> bool {
    let layer = PromptCacheKeyLayer::new().or(KEY);
    let mut before = request.headers().clone();
    let mut sent = send(&layer, request);
    let body = read(std::mem::take(sent.body_mut()));
    let length = sent.headers_mut().remove(CONTENT_LENGTH);
    let announced = before.remove(CONTENT_LENGTH);
    assert_eq!(*sent.headers(), before);
    let gets_field = body != TEXT.as_bytes();
    if gets_field {
        assert_eq!(body, TEXT.replace('}', &format!("{MEMBER}}}")).as_bytes());
        assert_eq!(length.unwrap(), body.len().to_string());
    } else {
        assert_eq!(length, announced);
    }
    gets_field
}

#[track_caller]
fn gets_field_with(headers: &[(&str, &str)]) -> bool {
    let mut request = request();
    let name = |name: &str| HeaderName::try_from(name).unwrap();
    for (first, _) in headers {
        request.headers_mut().remove(name(first));
    }
    for (each, value) in headers {
        request
            .headers_mut()
            .append(name(each), value.parse().unwrap());
    }
    gets_field(request)
}

#[test]
fn a_json_body_gets_the_field() {
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "Application/JSON ; q=1",
        "text/json",
        "application/vnd.openai+json",
        "application/problem+JSON; charset=us-ascii",
    ] {
        assert!(
            gets_field_with(&[("content-type", content_type)]),
            "{content_type}"
        );
    }
}

#[test]
fn other_content_types_do_not_get_the_field() {
    for content_type in [
        "",
        "json",
        "text/plain",
        "application/jsonl",
        "application/x-ndjson",
        "application/json-seq",
        "application/jsonp",
        "image/json",
        "application/json+xml",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "multipart/form-data; boundary=application/json",
        "application/x-www-form-urlencoded",
    ] {
        assert!(
            !gets_field_with(&[("content-type", content_type)]),
            "{content_type}"
        );
    }
    let twice = [
        ("content-type", "application/json"),
        ("content-type", "text/plain"),
    ];
    assert!(!gets_field_with(&twice));
    let mut without = request();
    without.headers_mut().remove(CONTENT_TYPE);
    assert!(!gets_field(without));
}

#[test]
fn an_encoded_body_does_not_get_the_field() {
    for coding in [
        "gzip",
        "br",
        "zstd",
        "aws-chunked",
        "identity, gzip",
        "x-unknown",
    ] {
        assert!(
            !gets_field_with(&[("content-encoding", coding)]),
            "{coding}"
        );
    }
    assert!(!gets_field_with(&[
        ("content-encoding", "identity"),
        ("content-encoding", "gzip")
    ]));
    assert!(!gets_field_with(&[("transfer-encoding", "gzip, chunked")]));
    for (name, coding) in [
        ("content-encoding", "identity"),
        ("content-encoding", " Identity "),
        ("content-encoding", ""),
        ("transfer-encoding", "chunked"),
        ("accept-encoding", "gzip"),
    ] {
        assert!(gets_field_with(&[(name, coding)]), "{name}: {coding}");
    }
}

#[test]
fn a_signed_body_does_not_get_the_field() {
    for (name, value) in [
        ("authorization", "AWS4-HMAC-SHA256 Credential=A/20261126/…"),
        ("authorization", "aws4-ecdsa-p256-sha256 Credential=A"),
        ("authorization", "AWS A:b"),
        ("authorization", "TC3-HMAC-SHA256 Credential=A"),
        ("authorization", "HMAC-SHA256 Credential=A"),
        ("authorization", "hmac a:b"),
        ("authorization", "Signature keyId=\"a\""),
        ("authorization", "Digest username=\"a\", qop=auth-int"),
        ("x-amz-content-sha256", "e3b0"),
        ("x-ms-content-sha256", "e3b0"),
        ("x-content-sha256", "e3b0"),
        ("content-digest", "sha-256=:e3b0:"),
        ("repr-digest", "sha-256=:e3b0:"),
        ("digest", "sha-256=e3b0"),
        ("content-md5", "e3b0"),
        ("signature", "sig1=:e3b0:"),
        ("signature-input", "sig1=(\"content-digest\")"),
    ] {
        assert!(!gets_field_with(&[(name, value)]), "{name}: {value}");
    }
    for (name, value) in [
        ("authorization", "Bearer AWS4-HMAC-SHA256"),
        ("authorization", "Basic aG1hYy0="),
        ("authorization", "AWS5"),
        ("x-signature-of-mine", "1"),
        ("want-content-digest", "sha-256=1"),
    ] {
        assert!(gets_field_with(&[(name, value)]), "{name}: {value}");
    }
}

#[test]
fn an_announced_content_length_is_corrected() {
    assert!(gets_field_with(&[("content-length", "7")]));
    assert!(gets_field_with(&[("content-length", " 7 ")]));
    let mut repeated = request();
    repeated
        .headers_mut()
        .append(CONTENT_LENGTH, HeaderValue::from_static("7"));
    let sent = send(&PromptCacheKeyLayer::new().or(KEY), repeated);
    let lengths = Vec::from_iter(sent.headers().get_all(CONTENT_LENGTH));
    let expected = (TEXT.len() + MEMBER.len()).to_string();
    assert_eq!(lengths, [&expected[..], &expected[..]]);
}

#[test]
fn a_missing_content_length_is_not_added() {
    let sent = send(
        &PromptCacheKeyLayer::new().or(KEY),
        chat(Full::<Bytes>::from(TEXT)),
    );
    assert_eq!(sent.headers().get(CONTENT_LENGTH), None);
}

#[test]
fn an_invalid_content_length_leaves_the_body_unchanged() {
    for length in [
        "",
        "+7",
        "-7",
        "7a",
        "0x7",
        "7, 7",
        "9223372036854775808",
        "99999999999999999999",
    ] {
        assert!(!gets_field_with(&[("content-length", length)]), "{length}");
    }
    assert!(!gets_field_with(&[
        ("content-length", "7"),
        ("content-length", "8")
    ]));
}

#[test]
fn a_content_length_of_zero_is_kept() {
    assert!(!gets_field_with(&[("content-length", "0")]));
    let layer = PromptCacheKeyLayer::new().or(KEY);
    let sent = send(&layer, chat(Empty::<Bytes>::new()));
    assert!(sent.headers().get(CONTENT_LENGTH).is_none());
}

#[test]
fn a_full_header_map_also_gets_the_right_content_length() {
    let mut request = request();
    let headers = request.headers_mut();
    for number in headers.keys_len()..24_576 {
        let name = HeaderName::try_from(format!("x-{number}")).unwrap();
        headers.insert(name, HeaderValue::from_static("other"));
    }
    assert!(gets_field(request));
}

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

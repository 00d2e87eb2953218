//! Which requests get the field, as decided from their head.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{Empty, Full};
use tower_session_affinity::PromptCacheKeyLayer;

use crate::{KEY, MEMBER, chat, read, send};

pub(crate) const TEXT: &str = r#"{"a":1}"#;

/// Returns a chat request that announces its length.
pub(crate) fn request() -> Request<Full<Bytes>> {
    let mut request = chat(Full::from(TEXT));
    let length = HeaderValue::from(TEXT.len());
    request.headers_mut().insert(CONTENT_LENGTH, length);
    request
}

/// Returns whether the request gets the field; asserts that its length is right and nothing else changes.
#[track_caller]
pub(crate) fn gets_field(request: Request<Full<Bytes>>) -> bool {
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

//! A single row: its length limit, its literals and its errors.

use http::{HeaderMap, HeaderValue, Method, Uri};
use tower_session_affinity::{
    AffinityKey, Destination, HostPattern, Outcome, SessionAffinityLayer, header,
};

#[test]
fn a_key_over_the_length_limit_of_its_row_is_not_sent() {
    let row = Destination::from_static("llm.internal", "x-session-id")
        .max_len(4)
        .unwrap();
    let layer = |key: &'static str| {
        SessionAffinityLayer::new()
            .or(AffinityKey::from_static(key))
            .destinations(row.clone().into())
    };
    let uri = Uri::from_static("https://llm.internal/");
    for (key, outcome, sent) in [
        ("1234", Outcome::Stamped, Some("1234")),
        ("12345", Outcome::TooLong, None),
    ] {
        let mut headers = HeaderMap::new();
        let extensions = http::Extensions::new();
        assert_eq!(
            layer(key).stamp(&Method::POST, &uri, &mut headers, &extensions),
            outcome
        );
        assert_eq!(
            headers
                .get("x-session-id")
                .map(|value| value.to_str().unwrap()),
            sent
        );
    }
    // The provider would answer a caller's long value with 400 as well.
    for (theirs, outcome) in [("1234", Outcome::Kept), ("12345", Outcome::TooLong)] {
        let mut headers = HeaderMap::new();
        headers.insert("x-session-id", HeaderValue::from_static(theirs));
        let extensions = http::Extensions::new();
        assert_eq!(
            layer("k").stamp(&Method::POST, &uri, &mut headers, &extensions),
            outcome
        );
        assert_eq!(
            headers.contains_key("x-session-id"),
            outcome == Outcome::Kept
        );
    }
}

#[cfg(feature = "hmac")]
#[test]
fn the_length_limit_applies_to_the_derived_key() {
    use tower_session_affinity::AffinitySecret;

    let secret = AffinitySecret::new(&[7; 32]).unwrap();
    let uri = Uri::from_static("https://llm.internal/");
    for (max_len, outcome) in [(36, Outcome::Stamped), (35, Outcome::TooLong)] {
        let row = Destination::from_static("llm.internal", "x-id")
            .max_len(max_len)
            .unwrap();
        let layer = SessionAffinityLayer::new()
            .or(AffinityKey::try_from("k".repeat(255)).unwrap())
            .destinations(row.into())
            .derive_per_host(secret.clone());
        let mut headers = HeaderMap::new();
        let extensions = http::Extensions::new();
        assert_eq!(
            layer.stamp(&Method::POST, &uri, &mut headers, &extensions),
            outcome
        );
        assert_eq!(headers.contains_key("x-id"), outcome == Outcome::Stamped);
    }
}

#[test]
fn a_body_field_has_1_to_64_visible_ascii_characters() {
    for field in ["f", "~", &"f".repeat(64)] {
        let row = Destination::body_field("llm.internal", field).unwrap();
        assert_eq!(row.body_field_name(), Some(field));
    }
}

#[test]
fn the_error_for_an_invalid_row_names_the_invalid_part() {
    let row = || Destination::from_static("llm.internal", "x-id");
    for (row, message) in [
        (
            Destination::header("", "x-id"),
            "destination has an invalid host: host pattern has no host",
        ),
        (
            Destination::header("llm.internal", ""),
            "destination has an invalid header name",
        ),
        (
            Destination::header("llm.internal", "x id"),
            "destination has an invalid header name",
        ),
        (
            Destination::header("llm.internal", "x-ü"),
            "destination has an invalid header name",
        ),
        (
            row().max_len(0),
            "destination has a maximum length of 0 bytes, expected at least 1",
        ),
        (
            row().path_suffixes([]),
            "destination has invalid path suffixes, expected at least one, each like `/responses`",
        ),
        (
            row().path_suffixes(["/a", "responses"]),
            "destination has invalid path suffixes, expected at least one, each like `/responses`",
        ),
        (
            row().path_suffixes(["/"]),
            "destination has invalid path suffixes, expected at least one, each like `/responses`",
        ),
    ] {
        assert_eq!(row.unwrap_err().to_string(), message);
    }
    for field in ["", "a b", "a\"", "a\\", "ü", &"f".repeat(65)] {
        assert_eq!(
            Destination::body_field("llm.internal", field)
                .unwrap_err()
                .to_string(),
            "destination has an invalid body field, expected 1 to 64 visible ASCII characters other than \
             `\"` and `\\`",
        );
    }
}

#[test]
#[should_panic(expected = "destination has an invalid header name")]
fn an_invalid_literal_panics_with_the_reason() {
    let _ = Destination::from_static("llm.internal", "x id");
}

#[test]
fn a_row_accepts_text_and_parsed_values() {
    let parsed = Destination::header(
        HostPattern::from_static("llm.internal"),
        header::X_SESSION_ID,
    );
    let text = Destination::header("LLM.internal.", "X-Session-Id");
    assert_eq!(parsed.unwrap(), text.unwrap());
}

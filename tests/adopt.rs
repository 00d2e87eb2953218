//! A gateway adopts the session that its caller names, and removes the caller's headers.

use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Uri};
use tower_session_affinity::{
    AffinityKey, Destinations, HostPattern, KeyExtractor, MergePolicy, NoAffinity, Outcome,
    SessionAffinityLayer, header,
};

const URI: &str = "https://api.fireworks.ai/v1/chat";

/// Returns the outcome and what is sent of these inbound headers.
fn sent<K: KeyExtractor>(
    layer: &SessionAffinityLayer<K>,
    uri: &str,
    inbound: &[(&str, &[u8])],
    extensions: &Extensions,
) -> (Outcome, HeaderMap) {
    let mut headers = HeaderMap::new();
    for (name, value) in inbound {
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    let uri: Uri = uri.parse().unwrap();
    let outcome = layer.stamp(&Method::POST, &uri, &mut headers, extensions);
    (outcome, headers)
}

fn none() -> Extensions {
    Extensions::new()
}

#[test]
fn the_first_valid_value_is_the_key_and_adopted_headers_are_removed() {
    let layer = SessionAffinityLayer::new().adopt(header::CALLER_SESSIONS);
    let inbound: [(&str, &[u8]); 5] = [
        ("x-session-id", b"not, a key"),
        ("x-session-id", b"chat-7"),
        ("x-claude-code-session-id", b"later"),
        ("session-id", b""),
        ("x-request-id", b"r-1"),
    ];
    let (outcome, headers) = sent(&layer, URI, &inbound, &none());
    assert_eq!(outcome, Outcome::Stamped);
    assert_eq!(headers["x-session-affinity"], "chat-7");
    assert_eq!(headers["x-request-id"], "r-1");
    assert_eq!(headers.len(), 2, "expected no other header: {headers:?}");
}

#[test]
fn an_adopted_header_that_also_carries_the_key_follows_the_merge_policy() {
    let layer = SessionAffinityLayer::new().adopt([header::X_SESSION_ID]);
    let layer = layer.header_name(header::X_SESSION_ID);
    let inbound: [(&str, &[u8]); 2] = [("x-session-id", b"chat 7"), ("x-session-id", b"chat-7")];
    let (outcome, headers) = sent(&layer, URI, &inbound, &none());
    assert_eq!((outcome, headers.len()), (Outcome::Kept, 1), "{headers:?}");
    assert_eq!(headers["x-session-id"], "chat 7");

    let layer = layer.merge_policy(MergePolicy::Replace);
    let (outcome, headers) = sent(&layer, URI, &inbound, &none());
    assert_eq!(
        (outcome, headers.len()),
        (Outcome::Replaced, 1),
        "{headers:?}"
    );
    assert_eq!(headers["x-session-id"], "chat-7");
}

#[test]
fn adopted_headers_are_removed_whatever_the_outcome() {
    let layer = SessionAffinityLayer::new().adopt(header::CALLER_SESSIONS);
    let mut with_key = Extensions::new();
    with_key.insert(AffinityKey::from_static("ours"));
    let mut marked = Extensions::new();
    marked.insert(NoAffinity);
    let elsewhere = [HostPattern::from_static("other.example")];
    let elsewhere = layer.clone().only_hosts(elsewhere);
    let none_read = layer.clone().destinations(Destinations::known());
    let inbound: [(&str, &[u8]); 2] = [("x-session-id", b"chat-7"), ("session-id", b"7")];
    let invalid: [(&str, &[u8]); 2] = [("x-session-id", b"chat 7"), ("session-id", b" ")];

    for (layer, uri, inbound, extensions, outcome) in [
        (&layer, URI, &inbound, &with_key, Outcome::Stamped),
        (&layer, URI, &inbound, &marked, Outcome::Suppressed),
        (&layer, URI, &invalid, &none(), Outcome::InvalidKey),
        (&elsewhere, URI, &inbound, &none(), Outcome::HostNotAllowed),
        (&elsewhere, "/v1", &inbound, &none(), Outcome::NoAuthority),
        (
            &none_read,
            "https://api.openai.com/",
            &inbound,
            &none(),
            Outcome::HeaderNotRead,
        ),
        (
            &none_read,
            "https://other.example/",
            &inbound,
            &none(),
            Outcome::HostNotAllowed,
        ),
    ] {
        let (reported, headers) = sent(layer, uri, inbound, extensions);
        assert_eq!(reported, outcome, "{uri}");
        let names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
        match outcome {
            Outcome::Stamped => assert_eq!(names, ["x-session-affinity"]),
            _ => assert!(
                names.is_empty(),
                "{outcome:?}: expected no header, found {names:?}"
            ),
        }
    }
}

#[test]
fn an_invalid_value_and_a_missing_value_have_different_outcomes() {
    let layer = SessionAffinityLayer::new().adopt(header::CALLER_SESSIONS);
    let long = [b'k'; 256];
    let invalid: [&[u8]; 4] = [b"a b", b"a,b", b"caf\xc3\xa9", &long];
    for value in invalid {
        let (outcome, _) = sent(&layer, URI, &[("session-id", value)], &none());
        assert_eq!(outcome, Outcome::InvalidKey, "{value:?}");
    }
    for inbound in [
        &[][..],
        &[("session-id", &b" \t"[..])],
        &[("x-request-id", &b"a b"[..])],
    ] {
        let (outcome, _) = sent(&layer, URI, inbound, &none());
        assert_eq!(outcome, Outcome::NoKey, "{inbound:?}");
    }
    let with_fallback = layer.or(AffinityKey::from_static("fallback"));
    let (outcome, _) = sent(&with_fallback, URI, &[("session-id", b"a b")], &none());
    assert_eq!(outcome, Outcome::Stamped);
}

#[test]
fn adopting_a_second_list_adds_to_the_first() {
    let layer = SessionAffinityLayer::new()
        .adopt([header::X_SESSION_ID])
        .adopt([header::SESSION_ID]);
    let inbound: [(&str, &[u8]); 2] = [("session-id", b"second"), ("x-session-id", b"a, b")];
    let (outcome, headers) = sent(&layer, URI, &inbound, &none());
    assert_eq!(
        (outcome, headers.len()),
        (Outcome::Stamped, 1),
        "{headers:?}"
    );
    assert_eq!(headers["x-session-affinity"], "second");
}

#[test]
fn from_headers_reads_the_headers_without_removing_them() {
    use tower_session_affinity::FromHeaders;

    let layer = SessionAffinityLayer::new().or(FromHeaders::new(header::CALLER_SESSIONS));
    let (_, headers) = sent(&layer, URI, &[("x-session-id", b"chat-7")], &none());
    assert_eq!(headers.len(), 2, "expected no other header: {headers:?}");
}

#[test]
fn boxed_shared_and_optional_sources_report_invalid_keys() {
    use std::sync::Arc;
    use tower_session_affinity::{FromHeaders, Or};

    type Dyn = dyn KeyExtractor + Send + Sync;
    let source = || FromHeaders::new([header::X_SESSION_ID]);
    let boxed: Box<Dyn> = Box::new(source());
    let shared: Arc<Dyn> = Arc::new(source());
    let request = Request::get("/")
        .header("x-session-id", "a b")
        .body(())
        .unwrap();
    let head = (&request).into();
    assert!(boxed.has_invalid_key(head) && boxed.extract(head).is_none());
    assert!(shared.has_invalid_key(head));
    assert!(Some(source()).has_invalid_key(head));
    assert!(!None::<FromHeaders>.has_invalid_key(head));
    assert!(Or::new(AffinityKey::from_static("k"), boxed).has_invalid_key(head));
    assert!(!AffinityKey::from_static("k").has_invalid_key(head));
}

#[cfg(feature = "hmac")]
mod derived {
    use super::*;
    use tower_session_affinity::AffinitySecret;

    fn secret() -> AffinitySecret {
        AffinitySecret::new(&[7; 32]).unwrap()
    }

    #[test]
    fn a_key_is_derived_from_any_value_and_the_raw_value_is_never_sent() {
        let layer = SessionAffinityLayer::new().adopt_derived(header::CALLER_SESSIONS, secret());
        let long = [b'k'; 300];
        let values: [&[u8]; 6] = [
            b"alice@example.com",
            b"a b",
            b"a,b",
            b"caf\xc3\xa9",
            b"\xa0",
            &long,
        ];
        for name in header::CALLER_SESSIONS {
            for value in values {
                let (outcome, headers) = sent(&layer, URI, &[(name.as_str(), value)], &none());
                assert!(outcome.is_sent());
                assert_eq!(headers.len(), 1, "expected no other header: {headers:?}");
                let expected = secret().key_for([value]);
                assert_eq!(headers["x-session-affinity"], expected.as_str());
            }
        }
    }

    #[test]
    fn surrounding_white_space_is_trimmed_before_derivation() {
        let layer = SessionAffinityLayer::new().adopt_derived([header::X_SESSION_ID], secret());
        let inbound: [(&str, &[u8]); 2] = [("x-session-id", b" \t"), ("x-session-id", b"\t a b ")];
        let (_, headers) = sent(&layer, URI, &inbound, &none());
        assert_eq!(
            headers["x-session-affinity"],
            secret().key_for(["a b"]).as_str()
        );
    }

    #[test]
    fn blank_values_give_no_key() {
        let layer = SessionAffinityLayer::new().adopt_derived(header::CALLER_SESSIONS, secret());
        let inbound: [(&str, &[u8]); 2] = [("x-session-affinity", b""), ("session-id", b" ")];
        let (outcome, headers) = sent(&layer, URI, &inbound, &none());
        assert_eq!(outcome, Outcome::NoKey);
        assert!(headers.is_empty());
    }

    /// Even if the key comes from the extensions, the raw value is overwritten.
    #[test]
    fn the_header_that_carries_the_key_never_keeps_its_raw_value() {
        let layer = SessionAffinityLayer::new().adopt_derived(header::CALLER_SESSIONS, secret());
        let mut with_key = Extensions::new();
        with_key.insert(AffinityKey::from_static("ours"));
        let inbound: [(&str, &[u8]); 1] = [("x-session-affinity", b"alice@example.com")];
        let (outcome, headers) = sent(&layer, URI, &inbound, &with_key);
        assert_eq!(
            (outcome, headers.len()),
            (Outcome::Replaced, 1),
            "{headers:?}"
        );
        assert_eq!(headers["x-session-affinity"], "ours");
    }

    #[test]
    fn the_header_that_carries_the_key_is_kept_if_it_is_not_adopted() {
        let layer = SessionAffinityLayer::new().adopt_derived([header::X_SESSION_ID], secret());
        let inbound: [(&str, &[u8]); 2] = [
            ("x-session-affinity", b"explicit"),
            ("x-session-id", b"alice@example.com"),
        ];
        let (outcome, headers) = sent(&layer, URI, &inbound, &none());
        assert_eq!(outcome, Outcome::Kept);
        assert_eq!(headers.len(), 1, "expected no other header: {headers:?}");
        assert_eq!(headers["x-session-affinity"], "explicit");
    }

    #[test]
    fn each_provider_gets_its_own_derived_key_of_36_bytes() {
        let layer = SessionAffinityLayer::new()
            .adopt_derived(header::CALLER_SESSIONS, secret())
            .destinations(Destinations::known())
            .derive_per_host(secret());
        let inbound: [(&str, &[u8]); 1] = [("x-session-id", b"alice@example.com")];
        let at = |uri: &str, name: &str| {
            let (outcome, headers) = sent(&layer, uri, &inbound, &none());
            assert!(outcome.is_sent());
            assert_eq!(headers.len(), 1, "expected no other header: {headers:?}");
            headers[name].to_str().unwrap().to_owned()
        };
        let openrouter = at("https://openrouter.ai/api/v1", "x-session-id");
        let xai = at("https://api.x.ai/v1/chat", "x-grok-conv-id");
        assert_ne!(openrouter, xai);
        assert_eq!(
            (openrouter.len(), xai.len()),
            (36, 36),
            "expected keys of 36 bytes, found {openrouter} and {xai}"
        );
    }
}

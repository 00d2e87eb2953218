//! Derived keys: their format, and that nothing leaves a deriving layer underived.
#![cfg(feature = "hmac")]

use std::collections::HashSet;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use proptest::prelude::*;
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, AffinitySecret, HostPattern, KeyExtractor, MergePolicy, NoAffinity, Outcome,
    SessionAffinityLayer, from_fn,
};

const NAME: &str = "x-session-affinity";
const FIREWORKS: &str = "https://api.fireworks.ai/inference/v1";
const RAW: &str = "alice@example.com";
const ALICE: AffinityKey = AffinityKey::from_static(RAW);
const POLICIES: [MergePolicy; 2] = [MergePolicy::Keep, MergePolicy::Replace];

fn secret() -> AffinitySecret {
    AffinitySecret::new(&[7; 32]).expect("32 bytes")
}

/// Stamps headers that go to `uri`.
fn stamp<K: KeyExtractor>(
    layer: &SessionAffinityLayer<K>,
    uri: &str,
    headers: &mut HeaderMap,
) -> Outcome {
    let uri: Uri = uri.parse().expect("a URI");
    layer.stamp(&Method::POST, &uri, headers, &Extensions::new())
}

/// Returns the one value that leaves for `uri` where these were before.
fn sent<K: KeyExtractor>(
    layer: &SessionAffinityLayer<K>,
    uri: &str,
    before: &[&[u8]],
) -> (Outcome, Option<String>) {
    let mut headers = HeaderMap::new();
    for value in before {
        headers.append(NAME, HeaderValue::from_bytes(value).expect("a value"));
    }
    let outcome = stamp(layer, uri, &mut headers);
    let left = headers.get_all(NAME).iter().count();
    assert!(left <= 1, "{left} values left");
    let value = headers
        .get(NAME)
        .map(|value| value.to_str().expect("text").to_owned());
    (outcome, value)
}

/// Returns the key that a deriving layer sends instead of `raw`.
fn derived(uri: &str, raw: &[u8]) -> String {
    let layer = SessionAffinityLayer::new().derive_per_host(secret());
    sent(&layer, uri, &[raw]).1.expect("a key")
}

fn octets(given: &Value) -> Vec<u8> {
    let once = if let Some(text) = given["text"].as_str() {
        text.as_bytes().to_vec()
    } else {
        let digits = given["hex"].as_str().expect("text or hex");
        let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
        pairs
            .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal"))
            .collect()
    };
    let times = given["times"].as_u64().unwrap_or(1);
    once.repeat(times.try_into().expect("fits"))
}

/// Computes the key of a vector of `fixtures/derived-keys.json`.
fn compute(vector: &Value) -> String {
    let secret = AffinitySecret::new(&octets(&vector["secret"])).expect("a secret");
    if let Some(parts) = vector["parts"].as_array() {
        return secret.key_for(parts.iter().map(octets)).as_str().to_owned();
    }
    let layer = SessionAffinityLayer::new();
    let (layer, uri) = match vector["label"].as_str() {
        Some(label) => (layer.derive_for(secret, label), "/no/authority"),
        None => (
            layer.derive_per_host(secret),
            vector["uri"].as_str().expect("a URI"),
        ),
    };
    sent(&layer, uri, &[&octets(&vector["value"])])
        .1
        .expect("a key")
}

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("fixtures/derived-keys.json")).expect("JSON")
}

fn key_of(name: &str) -> String {
    let vector = vectors().into_iter().find(|vector| vector["name"] == name);
    let vector = vector.unwrap_or_else(|| panic!("no vector `{name}`"));
    vector["key"].as_str().expect("a key").to_owned()
}

#[test]
fn rust_agrees_with_every_vector_of_the_reference_programs() {
    let vectors = vectors();
    assert!(vectors.len() >= 12, "only {} vectors", vectors.len());
    for vector in &vectors {
        assert_eq!(compute(vector), vector["key"], "{}", vector["name"]);
    }
}

#[test]
fn where_one_part_ends_counts() {
    let names = [
        "no part",
        "one empty part",
        "two empty parts",
        "two parts, split early",
        "two parts, split late",
        "one part with the same bytes",
        "one part that spells the frame between two",
    ];
    let keys: HashSet<_> = names.into_iter().map(key_of).collect();
    assert_eq!(keys.len(), names.len());
}

#[test]
fn one_host_has_one_key_however_it_is_spelled() {
    let same = [
        (
            "a host",
            "the same host in capitals, with a port, a user and a trailing dot",
        ),
        ("a host", "the same host as a label"),
        ("an IPv6 address", "the same IPv6 address, spelled out"),
        (
            "a value with a comma and spaces inside",
            "a value between spaces and tabs",
        ),
    ];
    for (one, other) in same {
        assert_eq!(key_of(one), key_of(other), "{one}, {other}");
    }
}

#[test]
fn another_host_or_another_secret_has_another_key() {
    let names = [
        "a host",
        "another host",
        "another secret",
        "an IPv4 address",
        "an IPv6 address",
    ];
    let keys: HashSet<_> = names.into_iter().map(key_of).collect();
    assert_eq!(keys.len(), names.len());
}

#[test]
fn a_key_for_parts_is_none_that_a_layer_derives() {
    let parts = secret().key_for(["api.fireworks.ai", RAW]);
    assert_ne!(derived(FIREWORKS, RAW.as_bytes()), parts.as_str());
}

#[test]
fn an_unparsable_address_literal_is_a_host_of_its_own() {
    let zone = derived("http://[FE80::1%25eth0]:80/", b"raw");
    assert_eq!(zone, derived("http://[fe80::1%25ETH0]/", b"raw"));
    assert_ne!(zone, derived("http://[fe80::1]/", b"raw"));
}

#[test]
fn a_key_from_any_source_is_derived_under_either_policy() {
    for policy in POLICIES {
        let layer = SessionAffinityLayer::new().or(ALICE).merge_policy(policy);
        let layer = layer.derive_per_host(secret());
        let key = derived(FIREWORKS, RAW.as_bytes());
        assert_eq!(
            sent(&layer, FIREWORKS, &[]),
            (Outcome::Stamped, Some(key.clone()))
        );
        assert_eq!(
            sent(&layer, FIREWORKS, &[b" \t"]),
            (Outcome::Replaced, Some(key))
        );
    }
}

#[test]
fn keep_sends_the_key_derived_from_the_callers_header() {
    let layer = SessionAffinityLayer::new()
        .or_fn(|_| panic!("an extractor was called"))
        .derive_per_host(secret());
    let key = Some(derived(FIREWORKS, b"theirs"));
    assert_eq!(
        sent(&layer, FIREWORKS, &[b"theirs"]),
        (Outcome::Replaced, key)
    );
}

#[test]
fn keep_derives_the_first_non_blank_of_several_values_and_drops_the_rest() {
    let layer = SessionAffinityLayer::new()
        .or(ALICE)
        .derive_per_host(secret());
    let key = Some(derived(FIREWORKS, b"first"));
    let before: [&[u8]; 4] = [b"", b" ", b"first", b"second"];
    assert_eq!(sent(&layer, FIREWORKS, &before), (Outcome::Replaced, key));
}

#[test]
fn replace_derives_our_key_and_never_the_callers() {
    let layer = SessionAffinityLayer::new().merge_policy(MergePolicy::Replace);
    let layer = layer.derive_per_host(secret());
    assert_eq!(
        sent(&layer, FIREWORKS, &[b"theirs"]),
        (Outcome::NoKey, None)
    );

    let key = Some(derived(FIREWORKS, RAW.as_bytes()));
    let before: [&[u8]; 2] = [b"theirs", b"more"];
    assert_eq!(
        sent(&layer.or(ALICE), FIREWORKS, &before),
        (Outcome::Replaced, key)
    );
}

#[test]
fn without_a_host_nothing_leaves() {
    for policy in POLICIES {
        let layer = SessionAffinityLayer::new()
            .or(ALICE)
            .merge_policy(policy)
            .derive_per_host(secret());
        for uri in ["/v1/chat", "http://:80/", "http://.:80/"] {
            assert_eq!(
                sent(&layer, uri, &[b"theirs"]),
                (Outcome::NoAuthority, None),
                "{uri}"
            );
            assert_eq!(
                sent(&layer, uri, &[]),
                (Outcome::NoAuthority, None),
                "{uri}"
            );
        }
    }
}

#[test]
fn a_label_needs_no_authority_and_ignores_the_one_there_is() {
    let layer = SessionAffinityLayer::new()
        .or(ALICE)
        .derive_for(secret(), "gpu-pool");
    let (outcome, key) = sent(&layer, "/v1/chat", &[]);
    assert_eq!(outcome, Outcome::Stamped);
    assert_eq!(sent(&layer, FIREWORKS, &[]).1, key);
    assert_ne!(key.expect("a key"), RAW);
}

#[test]
fn of_two_derivations_the_last_one_set_applies() {
    let both = SessionAffinityLayer::new()
        .or(ALICE)
        .derive_for(secret(), "gpu-pool")
        .derive_per_host(secret());
    let key = Some(derived(FIREWORKS, RAW.as_bytes()));
    assert_eq!(sent(&both, FIREWORKS, &[]), (Outcome::Stamped, key));
}

#[test]
fn an_unlisted_host_and_a_marked_request_outrank_derivation() {
    let layer = SessionAffinityLayer::new()
        .or(ALICE)
        .derive_per_host(secret());
    let mut extensions = Extensions::new();
    extensions.insert(NoAffinity);
    let mut headers = HeaderMap::new();
    headers.insert(NAME, HeaderValue::from_static("theirs"));
    let uri = Uri::from_static("/no/authority");
    let outcome = layer.stamp(&Method::GET, &uri, &mut headers, &extensions);
    assert_eq!((outcome, headers.len()), (Outcome::Suppressed, 0));

    let listed = layer.only_hosts([HostPattern::from_static("other.example")]);
    assert_eq!(
        sent(&listed, FIREWORKS, &[b"theirs"]),
        (Outcome::HostNotAllowed, None)
    );
}

#[test]
fn a_full_header_map_lets_no_value_leave_underived() {
    let layer = SessionAffinityLayer::new()
        .or(ALICE)
        .derive_per_host(secret());
    let mut headers = HeaderMap::new();
    headers.insert(NAME, HeaderValue::from_static("theirs"));
    let mut names = 1;
    while headers
        .try_insert(
            HeaderName::try_from(format!("x-{names}")).expect("a name"),
            HeaderValue::from_static(""),
        )
        .is_ok()
    {
        names += 1;
    }
    stamp(&layer, FIREWORKS, &mut headers);
    assert_eq!(headers[NAME], derived(FIREWORKS, b"theirs"));

    headers.remove(NAME);
    headers.insert("x-last", HeaderValue::from_static(""));
    assert_eq!(stamp(&layer, FIREWORKS, &mut headers), Outcome::MapFull);
    assert!(!headers.contains_key(NAME));
}

#[test]
fn the_sensitive_flag_survives() {
    for sensitive in [true, false] {
        let mut raw = HeaderValue::from_static(RAW);
        raw.set_sensitive(sensitive);
        let layer = SessionAffinityLayer::new().derive_per_host(secret());
        let mut kept = HeaderMap::from_iter([(HeaderName::from_static(NAME), raw.clone())]);
        stamp(&layer, FIREWORKS, &mut kept);
        assert_eq!(kept[NAME].is_sensitive(), sensitive);

        let layer = layer.or(AffinityKey::try_from(raw).expect("a key"));
        let mut stamped = HeaderMap::new();
        stamp(&layer, FIREWORKS, &mut stamped);
        assert_eq!(stamped[NAME].is_sensitive(), sensitive);
    }
}

#[tokio::test]
async fn the_service_derives_what_the_layer_stamps() {
    let echo = service_fn(|request: Request<()>| async move {
        Ok::<_, std::convert::Infallible>(request.headers()[NAME].clone())
    });
    let layer = SessionAffinityLayer::new().derive_per_host(secret());
    let request = Request::get(FIREWORKS)
        .extension(ALICE)
        .body(())
        .expect("a request");
    let sent = layer
        .layer(echo)
        .oneshot(request)
        .await
        .expect("infallible");
    assert_eq!(sent, derived(FIREWORKS, RAW.as_bytes()));
}

#[test]
fn a_derived_key_is_derived_again_by_a_layer() {
    let per_chat = secret().key_for(["tenant-7", "chat-7"]);
    let layer = SessionAffinityLayer::new()
        .or(from_fn(move |_| Some(per_chat.clone())))
        .derive_per_host(secret());
    let raw = secret().key_for(["tenant-7", "chat-7"]);
    let key = Some(derived(FIREWORKS, raw.as_str().as_bytes()));
    assert_eq!(sent(&layer, FIREWORKS, &[]).1, key);
}

#[test]
fn a_secret_is_read_from_hexadecimal_and_base64_as_they_come() {
    let bytes: Vec<u8> = (0xe0..=0xff).chain(0..2).collect();
    let expected = AffinitySecret::new(&bytes)
        .expect("34 bytes")
        .key_for([RAW]);
    let hex = "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff0001";
    for text in [hex.to_owned(), hex.to_uppercase(), format!(" \t{hex}\r\n")] {
        let secret = AffinitySecret::from_hex(&text).expect("hexadecimal");
        assert_eq!(secret.key_for([RAW]), expected);
    }
    let base64 = "4OHi4+Tl5ufo6err7O3u7/Dx8vP09fb3+Pn6+/z9/v8AAQ==";
    let url_safe = "4OHi4-Tl5ufo6err7O3u7_Dx8vP09fb3-Pn6-_z9_v8AAQ==";
    for text in [base64, url_safe] {
        for text in [text, text.trim_end_matches('='), &*format!("\n{text}\n")] {
            let secret = AffinitySecret::from_base64(text).expect("base64");
            assert_eq!(secret.key_for([RAW]), expected);
        }
    }
}

#[test]
fn the_error_of_a_bad_secret_says_what_and_where() {
    let hex = |text: &str| AffinitySecret::from_hex(text).unwrap_err().to_string();
    let base64 = |text: &str| AffinitySecret::from_base64(text).unwrap_err().to_string();
    let errors = [
        (
            AffinitySecret::new(&[7; 31]).unwrap_err().to_string(),
            "has 31 bytes, at least 32",
        ),
        (hex(""), "has 0 bytes, at least 32"),
        (base64(" \n"), "has 0 bytes, at least 32"),
        (hex(&"ab".repeat(31)), "has 31 bytes, at least 32"),
        (hex("abcdefgh"), "has invalid hexadecimal at index 6"),
        (hex("\n\nabcdefgh"), "has invalid hexadecimal at index 8"),
        (hex("abc"), "has invalid hexadecimal at index 2"),
        (base64("AAAA*AAA"), "has invalid base64 at index 4"),
        (base64("  AAAA*AAA "), "has invalid base64 at index 6"),
        (base64("AAAA+A_A"), "has invalid base64 at index 4"),
        (base64("zzzz=zzz"), "has invalid base64 at index 4"),
        (base64("zzzzz"), "has invalid base64 at index 4"),
        (base64(&"0f".repeat(32)), "is hexadecimal, expected base64"),
    ];
    for (error, expected) in errors {
        assert_eq!(error, format!("affinity secret {expected}"));
    }
}

#[test]
fn a_stamp_with_derivation_allocates_the_value_alone() {
    let layer = SessionAffinityLayer::new()
        .or(ALICE)
        .derive_per_host(secret());
    let uri = Uri::from_static("https://API.Fireworks.AI./inference/v1");
    let extensions = Extensions::new();
    for caller in [
        None,
        Some(HeaderValue::from_static("theirs, and other bytes")),
    ] {
        let mut headers = HeaderMap::with_capacity(8);
        if let Some(value) = caller {
            headers.insert(NAME, value);
        }
        let allocated = allocation_counter::measure(|| {
            layer.stamp(&Method::POST, &uri, &mut headers, &extensions);
        });
        assert_eq!(allocated.count_total, 1);
    }
}

#[test]
fn a_key_for_parts_and_its_clones_allocate_the_value_alone() {
    let secret = secret();
    let allocated = allocation_counter::measure(|| {
        let key = secret.key_for(["tenant-7", "chat-7"]);
        assert_eq!(key.clone(), key);
    });
    assert_eq!((allocated.count_total, allocated.count_current), (1, 0));
}

proptest! {
    #[test]
    fn every_key_is_a_lower_case_uuid_of_version_8(
        secret in prop::collection::vec(any::<u8>(), 32..200),
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..5),
    ) {
        let key = AffinitySecret::new(&secret).expect("a secret").key_for(&parts);
        let key = key.as_str().as_bytes();
        prop_assert_eq!(key.len(), 36);
        for (index, byte) in key.iter().enumerate() {
            let expected = match index {
                8 | 13 | 18 | 23 => *byte == b'-',
                14 => *byte == b'8',
                19 => matches!(byte, b'8' | b'9' | b'a' | b'b'),
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            };
            prop_assert!(expected, "byte {} of {:?}", index, key);
        }
    }

    #[test]
    fn other_parts_have_another_key(
        one in prop::collection::vec("[a\0]{0,9}", 0..4),
        other in prop::collection::vec("[a\0]{0,9}", 0..4),
    ) {
        prop_assert_eq!(one == other, secret().key_for(&one) == secret().key_for(&other));
    }

    #[test]
    fn no_value_leaves_underived(
        before in prop::collection::vec("[ -~\t]{0,12}", 0..4),
        key in prop::option::of("[a-z]{1,12}"),
        replace: bool,
        uri in prop::sample::select(vec![FIREWORKS, "/v1", "http://[::1]:80/", "http://h."]),
        to_label: bool,
    ) {
        let layer = SessionAffinityLayer::new()
            .or(key.map(|key| AffinityKey::try_from(key).expect("a key")))
            .merge_policy(if replace { MergePolicy::Replace } else { MergePolicy::Keep });
        let layer = if to_label {
            layer.derive_for(secret(), "label")
        } else {
            layer.derive_per_host(secret())
        };
        let before: Vec<_> = before.iter().map(String::as_bytes).collect();
        let (_, value) = sent(&layer, uri, &before);
        prop_assert!(value.is_none_or(|value| value.len() == 36 && value.as_bytes()[14] == b'8'));
    }
}

//! Layers with derivation: no raw value is ever sent.
#![cfg(feature = "hmac")]

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use proptest::prelude::*;
use tower::{Layer, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, AffinitySecret, HostPattern, KeyExtractor, MergePolicy, NoAffinity, Outcome,
    SessionAffinityLayer,
};

const NAME: &str = "x-session-affinity";
const FIREWORKS: &str = "https://api.fireworks.ai/inference/v1";
const RAW: &str = "alice@example.com";
const ALICE: AffinityKey = AffinityKey::from_static(RAW);
const POLICIES: [MergePolicy; 2] = [MergePolicy::Keep, MergePolicy::Replace];

fn secret() -> AffinitySecret {
    AffinitySecret::new(&[7; 32]).expect("32 bytes")
}

/// Stamps the headers of a request to `uri`.
fn stamp<K: KeyExtractor>(
    layer: &SessionAffinityLayer<K>,
    uri: &str,
    headers: &mut HeaderMap,
) -> Outcome {
    let uri: Uri = uri.parse().expect("a URI");
    layer.stamp(&Method::POST, &uri, headers, &Extensions::new())
}

/// Returns the outcome and the value sent to `uri`, if the request has these values before.
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
    let count = headers.get_all(NAME).iter().count();
    assert!(count <= 1, "expected at most one value, found {count}");
    let value = headers
        .get(NAME)
        .map(|value| value.to_str().expect("text").to_owned());
    (outcome, value)
}

/// Returns the key that a layer with derivation sends instead of `raw`.
fn derived(uri: &str, raw: &[u8]) -> String {
    let layer = SessionAffinityLayer::new().derive_per_host(secret());
    sent(&layer, uri, &[raw]).1.expect("a key")
}

#[test]
fn key_for_and_a_layer_derive_different_keys_from_the_same_input() {
    let parts = secret().key_for(["api.fireworks.ai", RAW]);
    assert_ne!(derived(FIREWORKS, RAW.as_bytes()), parts.as_str());
}

#[test]
fn one_trailing_dot_of_a_host_is_ignored_and_a_second_is_not() {
    for host in ["api.fireworks.ai", "[2001:db8::7]", "127.0.0.1"] {
        let none = derived(&format!("https://{host}/"), b"raw");
        let one = derived(&format!("https://{host}.:443/"), b"raw");
        let two = derived(&format!("https://{host}../"), b"raw");
        let three = derived(&format!("https://{host}.../"), b"raw");
        // After a bracket, a dot is not part of the host.
        assert_eq!(none, one, "{host}");
        assert_eq!(none == two, host.starts_with('['), "{host}");
        assert_eq!(two == three, host.starts_with('['), "{host}");
    }
    assert_ne!(
        derived("http://../", b"raw"),
        derived("http://.../", b"raw")
    );
    let label = |label| {
        let layer = SessionAffinityLayer::new().derive_for(secret(), label);
        sent(&layer, FIREWORKS, &[b"raw"])
    };
    assert_ne!(label("pool"), label("pool."), "a label is used unchanged");
}

#[test]
fn only_spaces_and_tabs_are_trimmed_from_a_raw_value() {
    let plain = derived(FIREWORKS, b"raw");
    for blank in [&b" "[..], b"\t", b" \t \t"] {
        assert_eq!(derived(FIREWORKS, &[blank, b"raw", blank].concat()), plain);
    }
    // A no-break space and a next-line control in Latin-1; a no-break and a thin space in UTF-8.
    for other in [&b"\xa0"[..], b"\x85", b"\xc2\xa0", b"\xe2\x80\x89"] {
        assert_ne!(derived(FIREWORKS, &[other, b"raw"].concat()), plain);
        assert_ne!(derived(FIREWORKS, &[b"raw", other].concat()), plain);
        assert_ne!(derived(FIREWORKS, other), plain);
    }
}

#[test]
fn an_unparsable_address_literal_is_a_separate_host() {
    let zone = derived("http://[FE80::1%25eth0]:80/", b"raw");
    assert_eq!(zone, derived("http://[fe80::1%25ETH0]/", b"raw"));
    assert_ne!(zone, derived("http://[fe80::1]/", b"raw"));
}

#[test]
fn our_key_is_derived_under_either_policy() {
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
        .or_fn(|_| panic!("a source was asked"))
        .derive_per_host(secret());
    let key = Some(derived(FIREWORKS, b"theirs"));
    assert_eq!(
        sent(&layer, FIREWORKS, &[b"theirs"]),
        (Outcome::KeptDerived, key)
    );
}

#[test]
fn keep_derives_the_first_non_blank_of_several_values_and_drops_the_rest() {
    let layer = SessionAffinityLayer::new()
        .or(ALICE)
        .derive_per_host(secret());
    let key = Some(derived(FIREWORKS, b"first"));
    let before: [&[u8]; 4] = [b"", b" ", b"first", b"second"];
    assert_eq!(
        sent(&layer, FIREWORKS, &before),
        (Outcome::KeptDerived, key)
    );
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
fn nothing_is_sent_without_a_host() {
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
    let keyless = SessionAffinityLayer::new().derive_per_host(secret());
    assert_eq!(sent(&keyless, "/v1/chat", &[]), (Outcome::NoKey, None));
}

#[test]
fn derivation_for_a_label_ignores_the_authority() {
    let layer = SessionAffinityLayer::new()
        .or(ALICE)
        .derive_for(secret(), "gpu-pool");
    let (outcome, key) = sent(&layer, "/v1/chat", &[]);
    assert_eq!(outcome, Outcome::Stamped);
    assert_eq!(sent(&layer, FIREWORKS, &[]).1, key);
    assert_ne!(key.expect("a key"), RAW);
}

#[test]
fn the_last_derivation_set_applies() {
    let both = SessionAffinityLayer::new()
        .or(ALICE)
        .derive_for(secret(), "gpu-pool")
        .derive_per_host(secret());
    let key = Some(derived(FIREWORKS, RAW.as_bytes()));
    assert_eq!(sent(&both, FIREWORKS, &[]), (Outcome::Stamped, key));
}

#[test]
fn no_affinity_and_an_unlisted_host_take_precedence_over_derivation() {
    let layer = SessionAffinityLayer::new()
        .or(ALICE)
        .derive_per_host(secret());
    let mut extensions = Extensions::new();
    extensions.insert(NoAffinity);
    let mut headers = HeaderMap::new();
    headers.insert(NAME, HeaderValue::from_static("theirs"));
    let uri = Uri::from_static("/no/authority");
    let outcome = layer.stamp(&Method::GET, &uri, &mut headers, &extensions);
    assert_eq!(
        (outcome, headers.len()),
        (Outcome::Suppressed, 0),
        "{headers:?}"
    );

    let listed = layer.only_hosts([HostPattern::from_static("other.example")]);
    assert_eq!(
        sent(&listed, FIREWORKS, &[b"theirs"]),
        (Outcome::HostNotAllowed, None)
    );
}

#[test]
fn no_raw_value_is_sent_if_the_header_map_is_full() {
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
fn derivation_keeps_the_sensitive_flag() {
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
async fn the_service_sends_the_derived_key() {
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
fn stamping_twice_derives_again_under_keep_but_not_under_replace() {
    for policy in POLICIES {
        let layer = SessionAffinityLayer::new().or(ALICE).merge_policy(policy);
        let layer = layer.derive_per_host(secret());
        let mut headers = HeaderMap::new();
        stamp(&layer, FIREWORKS, &mut headers);
        let once = headers[NAME].clone();
        let (outcome, is_the_same) = match policy {
            MergePolicy::Replace => (Outcome::Replaced, true),
            _ => (Outcome::KeptDerived, false),
        };
        assert_eq!(stamp(&layer, FIREWORKS, &mut headers), outcome);
        assert_eq!(headers[NAME] == once, is_the_same);
    }
}

#[test]
fn derivation_allocates_only_the_value() {
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
        assert_eq!(
            allocated.count_total, 1,
            "expected one allocation, for the value"
        );
    }
}

proptest! {
    #[test]
    fn no_raw_value_is_ever_sent(
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

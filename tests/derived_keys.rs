//! Derived keys and their format, checked against reference programs in other languages.
#![cfg(feature = "hmac")]

use std::collections::HashSet;

use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};
use proptest::prelude::*;
use serde_json::Value;
use tower_session_affinity::{AffinitySecret, SessionAffinityLayer, header};

const RAW: &str = "alice@example.com";

fn secret() -> AffinitySecret {
    AffinitySecret::new(&[7; 32]).expect("32 bytes")
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

/// Computes the key for a vector of `fixtures/derived-keys.json`.
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
    let value = HeaderValue::from_bytes(&octets(&vector["value"])).expect("a value");
    let mut headers = HeaderMap::from_iter([(header::X_SESSION_AFFINITY, value)]);
    let uri: Uri = uri.parse().expect("a URI");
    layer.stamp(&Method::POST, &uri, &mut headers, &Extensions::new());
    headers["x-session-affinity"]
        .to_str()
        .expect("ASCII")
        .to_owned()
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
    assert!(
        vectors.len() >= 12,
        "expected at least 12 vectors, found {}",
        vectors.len()
    );
    for vector in &vectors {
        assert_eq!(compute(vector), vector["key"], "{}", vector["name"]);
    }
}

#[test]
fn the_boundaries_of_parts_change_the_key() {
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
    assert_eq!(keys.len(), names.len(), "expected different keys: {keys:?}");
}

#[test]
fn all_spellings_of_a_host_give_the_same_key() {
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
fn a_different_host_or_secret_gives_a_different_key() {
    let names = [
        "a host",
        "another host",
        "another secret",
        "an IPv4 address",
        "an IPv6 address",
    ];
    let keys: HashSet<_> = names.into_iter().map(key_of).collect();
    assert_eq!(keys.len(), names.len(), "expected different keys: {keys:?}");
}

#[test]
fn a_secret_is_read_from_common_forms_of_hexadecimal_and_base64() {
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
fn white_space_in_the_text_of_a_secret_is_ignored() {
    let bytes: Vec<u8> = (0..64).collect();
    let expected = AffinitySecret::new(&bytes)
        .expect("64 bytes")
        .key_for([RAW]);
    let hex = bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v\
                  MDEyMzQ1Njc4OTo7PD0+Pw==";
    let url_safe = base64.replace('+', "-").replace('/', "_");
    for line_end in ["\n", "\r\n", "\r", " ", "\t", " \x0c\n"] {
        let wrap = |text: &str, width: usize| {
            let lines = text.as_bytes().chunks(width);
            let lines = lines.map(|line| String::from_utf8_lossy(line) + line_end);
            lines.collect::<String>()
        };
        // `openssl` ends a line after 64 symbols, and `xxd -p` after 60.
        for width in [1, 3, 60, 64, 76] {
            let secret = AffinitySecret::from_hex(&wrap(&hex, width)).expect("hexadecimal");
            assert_eq!(secret.key_for([RAW]), expected, "{line_end:?} {width}");
            for text in [base64, &url_safe, base64.trim_end_matches('=')] {
                let secret = AffinitySecret::from_base64(&wrap(text, width)).expect("base64");
                assert_eq!(secret.key_for([RAW]), expected, "{line_end:?} {width}");
            }
        }
    }
}

#[test]
fn base64_with_only_one_url_safe_symbol_is_read() {
    for (text, bytes) in [("----", [0xfb, 0xef, 0xbe]), ("____", [0xff; 3])] {
        let secret = AffinitySecret::from_base64(&text.repeat(11)).expect("base64");
        let same = AffinitySecret::new(&bytes.repeat(11)).expect("33 bytes");
        assert_eq!(secret.key_for([RAW]), same.key_for([RAW]));
    }
}

#[test]
fn the_error_for_an_invalid_secret_names_the_reason_and_the_position() {
    let hex = |text: &str| AffinitySecret::from_hex(text).unwrap_err().to_string();
    let base64 = |text: &str| AffinitySecret::from_base64(text).unwrap_err().to_string();
    let errors = [
        (
            AffinitySecret::new(&[7; 31]).unwrap_err().to_string(),
            "has 31 bytes, expected at least 32",
        ),
        (hex(""), "has 0 bytes, expected at least 32"),
        (base64(" \n"), "has 0 bytes, expected at least 32"),
        (hex(&"ab".repeat(31)), "has 31 bytes, expected at least 32"),
        (hex("abcdefgh"), "has invalid hexadecimal at index 6"),
        (hex("\n\nabcdefgh"), "has invalid hexadecimal at index 8"),
        (
            hex(" abc"),
            "has 3 characters, which do not make a whole number of bytes",
        ),
        (base64("AAAA*AAA"), "has invalid base64 at index 4"),
        (base64("  AAAA*AAA "), "has invalid base64 at index 6"),
        (base64("AAAA+A_A"), "has invalid base64 at index 4"),
        (base64("zzzz=zzz"), "has invalid base64 at index 4"),
        (
            base64("zzzzz"),
            "has 5 characters, which do not make a whole number of bytes",
        ),
        (hex("ab cd\n\neg"), "has invalid hexadecimal at index 8"),
        // The first error counts, even if the end is wrong as well.
        (hex("c0ffee: no"), "has invalid hexadecimal at index 6"),
        (base64("AA*AAAAA="), "has invalid base64 at index 2"),
        (
            base64("AAAAAAAA="),
            "has 9 characters, which do not make a whole number of bytes",
        ),
        (base64("AA AA\r\n*AAA"), "has invalid base64 at index 7"),
        (
            hex("a b c"),
            "has 3 characters, which do not make a whole number of bytes",
        ),
        // Only ASCII white space is ignored.
        (hex("ab\u{a0}cd00"), "has invalid hexadecimal at index 2"),
        (base64("AAAA\u{2003}A"), "has invalid base64 at index 4"),
        // Python stops reading at the padding; other languages read on.
        (base64("AA==AAA="), "has invalid base64 at index 3"),
        (base64("AAA=\nAAA="), "has invalid base64 at index 3"),
        (base64("AAAA===="), "has invalid base64 at index 4"),
        (base64("===="), "has invalid base64 at index 0"),
    ];
    for (error, expected) in errors {
        assert_eq!(error, format!("affinity secret {expected}"));
    }
}

#[test]
fn hexadecimal_digits_are_not_read_as_base64() {
    let hex = "0f".repeat(32);
    let wrapped = hex.replace("0f0f0f0f", "0F0f0f0f\r\n");
    for text in [
        hex.clone(),
        hex.to_uppercase(),
        format!("{hex}\n"),
        format!(" \t{hex}"),
        format!("{hex}\r\n\r\n"),
        wrapped,
        "7".repeat(44),
    ] {
        let error = AffinitySecret::from_base64(&text).unwrap_err().to_string();
        assert_eq!(
            error, "affinity secret is hexadecimal, expected base64",
            "{text:?}"
        );
    }
}

#[test]
fn key_for_allocates_only_the_value_and_clones_allocate_nothing() {
    let secret = secret();
    let allocated = allocation_counter::measure(|| {
        let key = secret.key_for(["tenant-7", "chat-7"]);
        assert_eq!(key.clone(), key);
    });
    assert_eq!(
        (allocated.count_total, allocated.count_current),
        (1, 0),
        "expected one allocation, for the value, and none left"
    );
}

proptest! {
    #[test]
    fn every_derived_key_is_a_lowercase_version_8_uuid(
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
    fn different_parts_give_different_keys(
        one in prop::collection::vec("[a\0]{0,9}", 0..4),
        other in prop::collection::vec("[a\0]{0,9}", 0..4),
    ) {
        prop_assert_eq!(one == other, secret().key_for(&one) == secret().key_for(&other));
    }
}

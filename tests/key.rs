//! The grammar of a key, its errors, and its flags.

use std::error::Error;
use std::hash::{BuildHasher, RandomState};

use http::HeaderValue;
use tower_session_affinity::{AffinityKey, InvalidAffinityKey};

fn error(key: &str) -> String {
    AffinityKey::try_from(key).unwrap_err().to_string()
}

#[test]
fn only_visible_ascii_bytes_other_than_the_comma_are_valid() {
    for byte in 0..=u8::MAX {
        let Ok(value) = HeaderValue::from_bytes(&[byte]) else {
            continue;
        };
        let valid = (0x21..=0x7E).contains(&byte) && byte != b',';
        assert_eq!(
            AffinityKey::try_from(&value).is_ok(),
            valid,
            "byte {byte:#04x}"
        );
        assert_eq!(
            AffinityKey::try_from(value).is_ok(),
            valid,
            "byte {byte:#04x}"
        );
    }
}

#[test]
fn errors_name_the_reason_and_the_position() {
    let long = "k".repeat(300);
    for (key, message) in [
        ("", "affinity key is empty, expected 1 to 255 bytes"),
        (
            " ",
            "affinity key has invalid byte 0x20 at index 0, expected visible ASCII other than a comma",
        ),
        (
            "user, abc",
            "affinity key has invalid byte 0x2c at index 4, expected visible ASCII other than a comma",
        ),
        (
            "a\r\nX-Evil: 1",
            "affinity key has invalid byte 0x0d at index 1, expected visible ASCII other than a comma",
        ),
        (
            "a\0b",
            "affinity key has invalid byte 0x00 at index 1, expected visible ASCII other than a comma",
        ),
        (
            "abc\t",
            "affinity key has invalid byte 0x09 at index 3, expected visible ASCII other than a comma",
        ),
        (
            "abc\u{7f}",
            "affinity key has invalid byte 0x7f at index 3, expected visible ASCII other than a comma",
        ),
        (
            "schlüssel",
            "affinity key has invalid byte 0xc3 at index 4, expected visible ASCII other than a comma",
        ),
        (
            "会话",
            "affinity key has invalid byte 0xe4 at index 0, expected visible ASCII other than a comma",
        ),
        (&long, "affinity key has 300 bytes, expected at most 255"),
    ] {
        assert_eq!(error(key), message);
    }
}

#[test]
fn a_key_has_1_to_255_bytes() {
    assert!(AffinityKey::try_from("k").is_ok());
    assert!(AffinityKey::try_from("k".repeat(255)).is_ok());
    assert_eq!(
        error(&"k".repeat(256)),
        "affinity key has 256 bytes, expected at most 255"
    );
    assert_eq!(AffinityKey::MAX_LEN, 255);
}

#[test]
fn every_conversion_checks_the_key_in_the_same_way() {
    let good = "chat-7";
    let bad = "chat 7";
    let reason =
        "affinity key has invalid byte 0x20 at index 4, expected visible ASCII other than a comma";
    assert_eq!(good.parse::<AffinityKey>().unwrap().as_str(), good);
    assert_eq!(AffinityKey::try_from(good).unwrap().as_str(), good);
    assert_eq!(
        AffinityKey::try_from(good.to_owned()).unwrap().as_str(),
        good
    );
    let value = HeaderValue::from_static(good);
    assert_eq!(AffinityKey::try_from(&value).unwrap().as_str(), good);
    assert_eq!(AffinityKey::try_from(value).unwrap().as_str(), good);
    assert_eq!(AffinityKey::from_static(good).as_str(), good);

    let value = HeaderValue::from_static(bad);
    let errors: [InvalidAffinityKey; 5] = [
        bad.parse::<AffinityKey>().unwrap_err(),
        AffinityKey::try_from(bad).unwrap_err(),
        AffinityKey::try_from(bad.to_owned()).unwrap_err(),
        AffinityKey::try_from(&value).unwrap_err(),
        AffinityKey::try_from(value).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), reason);
    }
}

#[test]
#[should_panic(expected = "affinity key is empty")]
fn an_empty_literal_panics() {
    let _ = AffinityKey::from_static("");
}

#[test]
#[should_panic(expected = "affinity key has an invalid byte")]
fn an_invalid_literal_panics() {
    let _ = AffinityKey::from_static("a,b");
}

#[test]
fn a_literal_is_checked_at_compile_time() {
    const KEY: AffinityKey = AffinityKey::from_static("chat-7");
    assert_eq!(KEY.as_header_value(), "chat-7");
}

#[test]
fn debug_and_errors_do_not_show_the_key() {
    let key = AffinityKey::from_static("alice@corp.example");
    assert_eq!(format!("{key:?}"), "AffinityKey(..)");
    let error = AffinityKey::try_from("alice@corp.example, bob").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("alice"));
    assert!(error.source().is_none());
}

#[test]
fn the_sensitive_flag_survives_conversion_in_both_directions() {
    for sensitive in [false, true] {
        let mut value = HeaderValue::from_static("chat-7");
        value.set_sensitive(sensitive);
        let borrowed = AffinityKey::try_from(&value).unwrap();
        let owned = AffinityKey::try_from(value).unwrap();
        for key in [borrowed, owned] {
            assert_eq!(key.clone().as_header_value().is_sensitive(), sensitive);
            assert_eq!(HeaderValue::from(key).is_sensitive(), sensitive);
        }
    }
}

#[test]
fn equality_and_hash_depend_only_on_the_bytes() {
    let state = RandomState::new();
    let literal = AffinityKey::from_static("chat-7");
    let parsed: AffinityKey = "chat-7".parse().unwrap();
    assert_eq!(literal, parsed);
    assert_eq!(state.hash_one(&literal), state.hash_one(&parsed));
    assert_ne!(literal, AffinityKey::from_static("chat-8"));
    assert_ne!(literal, AffinityKey::from_static("Chat-7"));
}

#[test]
fn a_key_from_a_borrowed_value_does_not_share_its_buffer() {
    let read_buffer = bytes::Bytes::from(vec![b'k'; 8192]);
    let value = HeaderValue::from_maybe_shared(read_buffer.slice(10..20)).unwrap();
    let key = AffinityKey::try_from(&value).unwrap();
    drop(value);
    assert!(
        read_buffer.is_unique(),
        "the key keeps the read buffer alive"
    );
    assert_eq!(key.as_str(), "kkkkkkkkkk");
}

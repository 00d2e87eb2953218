//! What is a valid token.

use std::time::Duration;

use http::HeaderValue;
use proptest::prelude::*;
use tower_affinity_token::Token;

#[test]
fn an_error_says_what_is_wrong_and_where_and_never_shows_the_value() {
    for (bytes, expected) in [
        (&b""[..], "token is blank"),
        (b" \t ", "token is blank"),
        (&[b't'; 4097], "token has 4097 bytes, at most 4096"),
        (b"secret\r\n", "token has invalid byte 0x0d at index 6"),
        (b"\x7f", "token has invalid byte 0x7f at index 0"),
    ] {
        let error = Token::try_from(bytes).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!format!("{error:?}").contains("secret"));
    }
}

#[test]
fn a_token_returns_its_bytes_unchanged() {
    for bytes in [&b"t1"[..], b" \xff, \t"] {
        assert_eq!(Token::try_from(bytes).unwrap().as_bytes(), bytes);
    }
}

#[test]
fn debug_does_not_show_a_token() {
    let token = Token::try_from(&b"secret"[..]).unwrap();
    assert_eq!(format!("{token:?}"), "Token(..)");
}

#[test]
fn a_token_converts_into_a_sensitive_header_value() {
    let token = Token::try_from(&b"t1"[..]).unwrap();
    for token in [
        token.clone(),
        token.with_lifetime(Some(Duration::from_secs(1))),
    ] {
        assert!(HeaderValue::from(token).is_sensitive());
    }
}

#[test]
fn tokens_are_equal_if_their_bytes_are_whatever_their_lifetimes() {
    let token = |bytes: &[u8]| Token::try_from(bytes).unwrap();
    let lifetime = Some(Duration::from_secs(1));
    assert_eq!(token(b"t1").lifetime(), None);
    assert_eq!(token(b"t1").with_lifetime(lifetime).lifetime(), lifetime);
    assert_eq!(token(b"t1").with_lifetime(lifetime), token(b"t1"));
    assert_ne!(token(b"t1"), token(b"t2"));
}

proptest! {
    #[test]
    fn bytes_are_a_valid_token_if_a_header_value_allows_them_and_they_are_neither_blank_nor_too_long(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..8),
            proptest::collection::vec(Just(b't'), 4090..4100),
            proptest::collection::vec(prop_oneof![Just(b' '), Just(b'\t')], 0..4),
        ],
    ) {
        let header = HeaderValue::from_bytes(&bytes);
        let is_blank = bytes.iter().all(|byte| b" \t".contains(byte));
        let token = Token::try_from(&bytes[..]);
        prop_assert_eq!(token.is_ok(), header.is_ok() && !is_blank && bytes.len() <= 4096);
        if let Ok(token) = token {
            prop_assert_eq!(token.as_bytes(), &bytes[..]);
        }
    }
}

//! What is a token, and what names a session.

use http::{HeaderValue, Uri};
use proptest::prelude::*;
use tower_affinity_token::{Session, Token};
use tower_session_affinity::AffinityKey;

#[test]
fn an_error_says_what_and_where_and_never_the_value() {
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
fn a_token_shows_its_bytes_as_they_came() {
    for bytes in [&b"t1"[..], b" \xff, \t"] {
        assert_eq!(Token::try_from(bytes).unwrap().as_bytes(), bytes);
    }
}

#[test]
fn a_session_without_a_scheme_or_a_port_is_named_by_its_host() {
    let key = AffinityKey::from_static("chat-7");
    for (uri, expected) in [
        ("a.example", Some("a.example chat-7")),
        ("A.example:443", Some("a.example:443 chat-7")),
        ("ftp://a.example/", Some("a.example chat-7")),
        ("ws://a.example/", Some("a.example:80 chat-7")),
        ("wss://a.example/", Some("a.example:443 chat-7")),
        ("http://[2001:DB8::7]/", Some("[2001:db8::7]:80 chat-7")),
        ("http://127.0.0.1:1/", Some("127.0.0.1:1 chat-7")),
        ("http://h:0/", Some("h:0 chat-7")),
        ("http://./", None),
        ("/", None),
        ("*", None),
    ] {
        let session = Session::new(&uri.parse::<Uri>().unwrap(), &key);
        assert_eq!(session.as_ref().map(Session::as_str), expected, "{uri}");
    }
}

#[test]
fn keys_that_differ_in_case_alone_are_two_sessions() {
    let session = |key| {
        Session::new(
            &Uri::from_static("http://h/"),
            &AffinityKey::from_static(key),
        )
    };
    assert_ne!(session("chat-a"), session("chat-A"));
}

#[test]
fn debug_shows_the_authority_of_a_session_and_neither_its_key_nor_a_token() {
    let uri = Uri::from_static("https://user@a.example/chat");
    let session = Session::new(&uri, &AffinityKey::from_static("chat-7")).unwrap();
    assert_eq!(format!("{session:?}"), r#"Session("a.example:443", ..)"#);
    let token = Token::try_from(&b"secret"[..]).unwrap();
    assert_eq!(format!("{token:?}"), "Token(..)");
}

proptest! {
    #[test]
    fn bytes_are_a_token_if_a_header_can_have_them_and_they_are_neither_blank_nor_too_long(
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

    #[test]
    fn two_requests_are_of_one_session_if_host_port_and_key_are_one(
        hosts in proptest::array::uniform2("[aB]{1,2}(\\.[ab])?"), dots: [bool; 2],
        ports in proptest::array::uniform2(proptest::option::of(prop_oneof![Just(80_u16), Just(443), Just(8)])),
        tls: [bool; 2], keys in proptest::array::uniform2("[ab:.]{1,2}"),
    ) {
        let reached = |i: usize| {
            let port = ports[i].unwrap_or(if tls[i] { 443 } else { 80 });
            (hosts[i].to_lowercase(), port, keys[i].clone())
        };
        let session = |i: usize| {
            let scheme = if tls[i] { "https" } else { "http" };
            let dot = if dots[i] { "." } else { "" };
            let port = ports[i].map_or_else(String::new, |port| format!(":{port}"));
            let uri = format!("{scheme}://{}{dot}{port}/", hosts[i]);
            let key = AffinityKey::try_from(keys[i].as_str()).unwrap();
            Session::new(&uri.parse().unwrap(), &key).unwrap()
        };
        prop_assert_eq!(session(0) == session(1), reached(0) == reached(1));
        prop_assert_eq!(session(0).as_str() == session(1).as_str(), reached(0) == reached(1));
    }
}

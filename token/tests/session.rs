//! What names a session.

use http::{HeaderName, Uri};
use proptest::prelude::*;
use tower_affinity_token::{InvalidSession, Session, header::X_SESSION_TOKEN};
use tower_session_affinity::AffinityKey;

fn session(uri: &str, key: &str) -> Option<Session> {
    let (uri, key): (Uri, AffinityKey) = (uri.parse().unwrap(), key.parse().unwrap());
    Session::new(&X_SESSION_TOKEN, &uri, &key)
}

/// Returns the scheme and the host with its port, as in the text of a session.
fn origin(uri: &str) -> Option<String> {
    let session = session(uri, "chat-7")?;
    let origin = session.as_str().strip_suffix(" x-session-token chat-7");
    Some(origin.unwrap().to_owned())
}

#[test]
fn a_session_is_named_by_scheme_host_port_header_and_key() {
    let session = session("https://a.example:8443/chat", "chat-7").unwrap();
    let text = "https a.example:8443 x-session-token chat-7";
    assert_eq!(session.as_str(), text);
}

#[test]
fn spellings_of_an_origin_are_equal_and_a_default_port_is_omitted() {
    for (uri, expected) in [
        ("https://a.example/", "https a.example"),
        ("HTTPS://A.Example:443/", "https a.example"),
        ("https://a.example./", "https a.example"),
        ("https://a.example.:443/", "https a.example"),
        ("https://user:password@a.example/", "https a.example"),
        ("https://a@b@a.example/", "https a.example"),
        ("https://a.example:0443/", "https a.example"),
        ("https://a.example:/", "https a.example"),
        ("wss://a.example/", "https a.example"),
        ("WSS://a.example:443/", "https a.example"),
        ("http://a.example/", "http a.example"),
        ("http://a.example:80/", "http a.example"),
        ("ws://a.example/", "http a.example"),
        ("Ws://a.example:80/", "http a.example"),
    ] {
        assert_eq!(origin(uri).as_deref(), Some(expected), "{uri}");
    }
}

#[test]
fn a_different_scheme_host_or_port_is_a_different_origin() {
    for (uri, expected) in [
        ("http://a.example:443/", "http a.example:443"),
        ("https://a.example:80/", "https a.example:80"),
        ("http://a.example:8443/", "http a.example:8443"),
        ("https://a.example:8443/", "https a.example:8443"),
        ("https://a.example:0/", "https a.example:0"),
        ("https://a.example:65535/", "https a.example:65535"),
        ("http://127.0.0.1:1/", "http 127.0.0.1:1"),
        ("http://[2001:DB8::7]/", "http [2001:db8::7]"),
        ("http://u@[::1]:8080/", "http [::1]:8080"),
        ("ftp://a.example/", "ftp a.example"),
        ("FTP://a.example:443/", "ftp a.example:443"),
        ("wsx://a.example:80/", "wsx a.example:80"),
    ] {
        assert_eq!(origin(uri).as_deref(), Some(expected), "{uri}");
    }
}

#[test]
fn without_a_scheme_an_origin_is_neither_http_nor_https() {
    for (uri, expected) in [
        ("a.example", "- a.example"),
        ("A.example:443", "- a.example:443"),
        ("a.example:80", "- a.example:80"),
    ] {
        assert_eq!(origin(uri).as_deref(), Some(expected), "{uri}");
    }
}

#[test]
fn only_one_trailing_dot_of_a_host_is_ignored() {
    assert_eq!(
        session("https://a.example../", "k"),
        session("https://a.example../", "k")
    );
    assert_ne!(
        session("https://a.example../", "k"),
        session("https://a.example./", "k")
    );
    assert_eq!(
        origin("https://a.example.../").unwrap(),
        "https a.example.."
    );
    assert_eq!(origin("https://../").unwrap(), "https .");
}

#[test]
fn without_a_host_there_is_no_session() {
    for uri in ["/", "*", "http://./", "https://.:8443/"] {
        assert_eq!(session(uri, "chat-7"), None, "{uri}");
    }
}

#[test]
fn keys_that_differ_only_in_case_are_different_sessions() {
    assert_ne!(
        session("http://h/", "chat-a"),
        session("http://h/", "chat-A")
    );
}

#[test]
fn different_header_names_are_different_sessions() {
    let (uri, key) = (
        Uri::from_static("https://a.example/"),
        AffinityKey::from_static("k"),
    );
    let other = HeaderName::from_static("x-other");
    assert_ne!(
        Session::new(&X_SESSION_TOKEN, &uri, &key),
        Session::new(&other, &uri, &key)
    );
}

#[test]
fn debug_shows_the_origin_and_the_header_name_but_not_the_key() {
    let session = session("https://user@a.example/chat", "chat-7").unwrap();
    let shown = r#"Session("https a.example x-session-token", ..)"#;
    assert_eq!(format!("{session:?}"), shown);
}

#[test]
fn a_text_with_upper_case_or_a_default_port_parses_as_the_same_session() {
    for text in [
        "https a.example x-session-token chat-7",
        "https A.example:443 X-Session-Token chat-7",
        "wss a.example x-session-token chat-7",
    ] {
        let expected = session("https://a.example/", "chat-7");
        assert_eq!(text.parse().ok(), expected, "{text}");
    }
}

#[test]
fn parsing_a_text_keeps_its_trailing_dots() {
    for (uri, text) in [
        ("https://a.example../", "https a.example. x-session-token k"),
        (
            "https://a.example...:8443/",
            "https a.example..:8443 x-session-token k",
        ),
        ("https://../", "https . x-session-token k"),
    ] {
        let session = session(uri, "k").unwrap();
        assert_eq!(session.as_str(), text);
        assert_eq!(text.parse(), Ok(session));
    }
}

#[test]
fn a_parse_error_says_which_part_is_wrong_and_shows_none() {
    let parts = |found| {
        format!(
            "session has {found} parts, \
             expected scheme, host, header name and key between single spaces"
        )
    };
    for (text, expected) in [
        ("", parts(1)),
        ("https a.example x-t", parts(3)),
        ("https a.example x-t secret more", parts(5)),
        (
            "https  x-t secret",
            "session has an invalid host".to_owned(),
        ),
        (
            "https u@a.example x-t secret",
            "session has an invalid host".to_owned(),
        ),
        (
            "https :443 x-t secret",
            "session has an invalid host".to_owned(),
        ),
        (
            "https a.example/path x-t secret",
            "session has an invalid host".to_owned(),
        ),
        (
            "https a.example \u{fc} secret",
            "session has an invalid header name".to_owned(),
        ),
        (
            "ht:tp a.example x-t secret",
            "session has an invalid scheme".to_owned(),
        ),
        (
            " a.example x-t secret",
            "session has an invalid scheme".to_owned(),
        ),
        (
            "https a.example x-t a,secret",
            "session has an invalid key: affinity key has invalid byte 0x2c".to_owned(),
        ),
        (
            "https a.example x-t ",
            "session has an invalid key: affinity key is empty".to_owned(),
        ),
    ] {
        let error: InvalidSession = text.parse::<Session>().unwrap_err();
        let shown = error.to_string();
        assert!(shown.starts_with(&expected), "{text:?}: {shown}");
        assert!(!format!("{shown} {error:?}").contains("secret"));
    }
}

/// Authorities: user information, a host or an address, and a port or what looks like one.
fn authority() -> impl Strategy<Value = String> {
    let user = prop_oneof![2 => Just(String::new()), 1 => "[a-c:@]{0,3}@"];
    let host = prop_oneof![
        "[a-bA-B.]{1,6}",
        Just("[::1]".to_owned()),
        Just("[2001:DB8::]".to_owned())
    ];
    let port = prop_oneof![2 => Just(String::new()), 1 => ":[0-9]{0,6}", 1 => ":(80|443|[+]80|8a)"];
    (user, host, port).prop_map(|(user, host, port)| format!("{user}{host}{port}"))
}

proptest! {
    #[test]
    fn the_host_and_the_port_match_those_of_the_uri(
        scheme in prop_oneof![Just("http"), Just("https"), Just("ftp")], authority in authority(),
    ) {
        let Ok(uri) = format!("{scheme}://{authority}/").parse::<Uri>() else {
            return Ok(());
        };
        let host = uri.host().unwrap();
        let host = host.strip_suffix('.').unwrap_or(host).to_lowercase();
        let default = match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let port = uri.port_u16().filter(|port| Some(*port) != default);
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        let expected = (!host.is_empty()).then(|| format!("{scheme} {host}{port}"));
        prop_assert_eq!(origin(&uri.to_string()), expected);
    }

    #[test]
    fn two_sessions_are_equal_if_and_only_if_scheme_host_port_and_key_are(
        hosts in proptest::array::uniform2("[aB]{1,2}(\\.[ab])?"), dots: [bool; 2],
        ports in proptest::array::uniform2(
            proptest::option::of(prop_oneof![Just(80_u16), Just(443), Just(8)])
        ),
        schemes in proptest::array::uniform2(prop_oneof![
            Just(Some("http")), Just(Some("https")), Just(Some("ws")), Just(Some("wss")), Just(None),
        ]),
        keys in proptest::array::uniform2("[ab:.]{1,2}"),
    ) {
        let reached = |i: usize| {
            let (secure, default) = match schemes[i] {
                Some("https" | "wss") => (Some(true), Some(443)),
                Some(_) => (Some(false), Some(80)),
                None => (None, None),
            };
            (secure, hosts[i].to_lowercase(), ports[i].or(default), keys[i].clone())
        };
        let session = |i: usize| {
            let dot = if dots[i] { "." } else { "" };
            let port = ports[i].map_or_else(String::new, |port| format!(":{port}"));
            let authority = format!("{}{dot}{port}", hosts[i]);
            let uri = schemes[i].map_or(authority.clone(), |scheme| format!("{scheme}://{authority}/"));
            session(&uri, &keys[i]).unwrap()
        };
        prop_assert_eq!(session(0) == session(1), reached(0) == reached(1));
        prop_assert_eq!(session(0).as_str() == session(1).as_str(), reached(0) == reached(1));
    }

    #[test]
    fn the_text_of_a_session_parses_as_an_equal_session(
        scheme in prop_oneof![Just("https://"), Just("HTTP://"), Just("wss://"), Just("x+y://"), Just("")],
        authority in authority(), name in "[a-z][a-z0-9-]{0,8}", key in "[!-+./0-~]{1,20}",
    ) {
        let path = if scheme.is_empty() { "" } else { "/v1?q" };
        let Ok(uri) = format!("{scheme}{authority}{path}").parse::<Uri>() else {
            return Ok(());
        };
        let name = HeaderName::try_from(name).unwrap();
        let key = AffinityKey::try_from(key).unwrap();
        if let Some(session) = Session::new(&name, &uri, &key) {
            let read = session.as_str().parse::<Session>().unwrap();
            prop_assert_eq!(&read, &session);
            prop_assert_eq!(read.as_str(), session.as_str());
        }
    }
}

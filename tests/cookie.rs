//! A cookie as a source of keys.

use cookie::Cookie;
use http::{HeaderValue, Request};
use proptest::prelude::*;
use tower_session_affinity::{
    AffinityKey, FromCookie, InvalidCookieName, KeyExtractor, Outcome, SessionAffinityLayer,
};

/// Returns a request with these `Cookie` headers.
fn request(headers: &[&[u8]]) -> Request<()> {
    let request = Request::get("/");
    let request = headers.iter().fold(request, |request, cookie| {
        request.header("cookie", HeaderValue::from_bytes(cookie).unwrap())
    });
    request.body(()).unwrap()
}

/// Returns the key from the cookie `sid`.
fn sid(headers: &[&[u8]]) -> Option<String> {
    let key = FromCookie::new("sid")
        .unwrap()
        .extract((&request(headers)).into());
    key.map(|key| key.as_str().to_owned())
}

#[test]
fn the_cookie_is_found_at_any_position() {
    #[rustfmt::skip]
    let rows: &[(&[&[u8]], Option<&str>)] = &[
        (&[b"sid=a"],                             Some("a")),
        (&[b"theme=dark; sid=a; lang=de"],        Some("a")),
        (&[b"theme=dark;sid=a"],                  Some("a")),
        (&[b"theme=dark;\tsid = a ;"],            Some("a")),
        (&[b"sid=a=b=="],                         Some("a=b==")),
        (&[b"sid=s%3Aabc"],                       Some("s%3Aabc")),
        (&[b";; sid=a"],                          Some("a")),
        (&[b"flag; sid=a"],                       Some("a")),
        (&[],                                     None),
        (&[b""],                                  None),
        (&[b"sid"],                               None),
        (&[b"theme=sid=a"],                       None),
    ];
    for (headers, expected) in rows {
        assert_eq!(sid(headers).as_deref(), *expected, "{headers:?}");
    }
}

#[test]
fn cookies_split_over_several_headers_are_found() {
    let crumbs: &[&[u8]] = &[b"theme=dark", b"sid=a", b"lang=de"];
    assert_eq!(sid(crumbs).as_deref(), Some("a"));
}

#[test]
fn the_whole_name_is_compared_case_sensitively() {
    let others: &[&[u8]] = &[b"SID=a; sid2=b; xsid=c; __Host-sid=d; s=e"];
    assert_eq!(sid(others), None);
}

#[test]
fn surrounding_quotes_are_not_part_of_the_value() {
    #[rustfmt::skip]
    let rows: &[(&[u8], Option<&str>)] = &[
        (b"sid=\"a\"",        Some("a")),
        (b"sid= \"a\" ; x=y", Some("a")),
        (b"sid=\"a",          Some("\"a")),
        (b"sid=a\"",          Some("a\"")),
        (b"sid=\"",           Some("\"")),
        (b"sid=\"\"",         None),
        (b"sid=\" \"",        None),
    ];
    for (cookie, expected) in rows {
        assert_eq!(sid(&[*cookie]).as_deref(), *expected);
    }
}

#[test]
fn the_first_valid_cookie_of_several_is_used() {
    assert_eq!(sid(&[b"sid=a; sid=b", b"sid=c"]).as_deref(), Some("a"));
    assert_eq!(sid(&[b"sid=; sid=a b", b"sid=c"]).as_deref(), Some("c"));
}

#[test]
fn after_an_invalid_value_the_next_source_is_asked() {
    let long = format!("sid={}", "x".repeat(256));
    let rows: [&[u8]; 5] = [
        b"sid=",
        b"sid=a b",
        b"sid=a,b",
        b"sid=caf\xc3\xa9",
        long.as_bytes(),
    ];
    let layer = SessionAffinityLayer::new()
        .or(FromCookie::new("sid").unwrap())
        .or(AffinityKey::from_static("next"));
    for cookie in rows {
        let (mut head, ()) = request(&[cookie]).into_parts();
        layer.stamp(&head.method, &head.uri, &mut head.headers, &head.extensions);
        assert_eq!(head.headers["x-session-affinity"], "next");
    }
}

#[test]
fn an_invalid_cookie_and_a_missing_cookie_have_different_outcomes() {
    let layer = SessionAffinityLayer::new().or(FromCookie::new("sid").unwrap());
    for (cookie, outcome) in [
        (&b"sid=a b"[..], Outcome::InvalidKey),
        (b"sid=a,b; sid=caf\xc3\xa9", Outcome::InvalidKey),
        (b"sid=; sid=\" \"", Outcome::NoKey),
        (b"other=a b", Outcome::NoKey),
    ] {
        let (mut head, ()) = request(&[cookie]).into_parts();
        let reported = layer.stamp(&head.method, &head.uri, &mut head.headers, &head.extensions);
        assert_eq!(reported, outcome, "{cookie:?}");
    }
}

#[test]
fn non_ascii_bytes_in_another_cookie_do_not_matter() {
    for neighbour in [&b"name=Andr\xe9; sid=a"[..], b"name=\xff\xfe; sid=a"] {
        assert_eq!(sid(&[neighbour]).as_deref(), Some("a"));
    }
}

#[test]
fn a_sensitive_cookie_gives_a_sensitive_key() {
    for sensitive in [true, false] {
        let mut request = request(&[b"sid=a"]);
        let cookie = request.headers_mut().get_mut("cookie").unwrap();
        cookie.set_sensitive(sensitive);
        let key = FromCookie::new("sid").unwrap().extract((&request).into());
        assert_eq!(key.unwrap().as_header_value().is_sensitive(), sensitive);
    }
}

#[test]
fn an_invalid_cookie_name_is_an_error() {
    let rows = [
        ("", "cookie name is empty"),
        (
            "sid=",
            "cookie name has invalid byte 0x3d at index 3, expected visible ASCII other than `;` and `=`",
        ),
        (
            "a;b",
            "cookie name has invalid byte 0x3b at index 1, expected visible ASCII other than `;` and `=`",
        ),
        (
            " sid",
            "cookie name has invalid byte 0x20 at index 0, expected visible ASCII other than `;` and `=`",
        ),
        (
            "s\u{ef}d",
            "cookie name has invalid byte 0xc3 at index 1, expected visible ASCII other than `;` and `=`",
        ),
        (
            "sid\n",
            "cookie name has invalid byte 0x0a at index 3, expected visible ASCII other than `;` and `=`",
        ),
    ];
    for (name, message) in rows {
        let error: InvalidCookieName = FromCookie::new(name).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    for name in ["sid", "connect.sid", "__Host-sid", "chat[id]", "$Version"] {
        assert!(FromCookie::new(name).is_ok(), "{name}");
    }
}

#[cfg(feature = "hmac")]
mod derived {
    use tower_session_affinity::AffinitySecret;

    use super::*;

    fn secret() -> AffinitySecret {
        AffinitySecret::new(&[7; 32]).unwrap()
    }

    fn derived(cookie: &[u8]) -> Option<AffinityKey> {
        let source = FromCookie::new("sid").unwrap().derived(secret());
        source.extract((&request(&[cookie])).into())
    }

    #[test]
    fn a_key_is_derived_from_any_value_that_is_not_blank() {
        let jwt = "x".repeat(2000);
        for value in ["a", "a b", "a,b", "caf\u{e9}", &jwt] {
            let key = derived(format!("sid=\"{value}\"").as_bytes());
            assert_eq!(key, Some(secret().key_for([value])));
        }
        for blank in ["sid=", "sid=\"\"", "sid=\"  \"", "other=a"] {
            assert_eq!(derived(blank.as_bytes()), None);
        }
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        let source = FromCookie::new("sid").unwrap().derived(secret());
        assert!(!format!("{source:?}").contains('7'));
    }
}

proptest! {
    #[test]
    fn cookies_are_read_as_the_cookie_crate_reads_them(
        headers in prop::collection::vec("(sid|SID|s|\"| |;|=|a|b,|\t|\u{e9}){0,12}", 0..4)
    ) {
        let theirs = headers.iter().flat_map(|header| Cookie::split_parse(header.as_str()));
        let mut theirs = theirs.flatten().filter(|cookie| cookie.name() == "sid");
        let theirs = theirs.find_map(|cookie| cookie.value_trimmed().trim().parse::<AffinityKey>().ok());
        let headers: Vec<_> = headers.iter().map(String::as_bytes).collect();
        prop_assert_eq!(sid(&headers), theirs.map(|key| key.as_str().to_owned()));
    }
}

//! Host patterns as text: their canonical spelling, and the errors for invalid text.

use std::collections::HashSet;

use tower_session_affinity::HostPattern;

#[test]
fn two_spellings_of_one_pattern_are_equal() {
    for (one, other) in [
        ("API.Fireworks.AI.", "api.fireworks.ai"),
        ("*.Workers.AI.:8443", "*.workers.ai:8443"),
        ("[2001:DB8:0::7]", "[2001:db8::7]"),
        ("HTTPS://API.x.ai.", "https://api.x.ai"),
        ("wss://[0::1]:0443", "wss://[::1]:443"),
    ] {
        let (one, pattern) = (
            HostPattern::from_static(one),
            HostPattern::from_static(other),
        );
        assert_eq!(one, pattern);
        assert_eq!(one.to_string(), other);
        assert_eq!(format!("{one:?}"), format!("HostPattern({other:?})"));
    }
}

#[test]
fn patterns_that_match_different_requests_are_not_equal() {
    let patterns = [
        "h",
        "h:443",
        "https://h",
        "https://h:443",
        "http://h",
        "wss://h",
        "*.h",
        "[::1]",
        "https://[::1]",
    ];
    let different: HashSet<_> = patterns.map(HostPattern::from_static).into();
    assert_eq!(
        different.len(),
        patterns.len(),
        "expected all patterns to differ: {different:?}"
    );
}

#[test]
fn the_error_for_an_invalid_pattern_says_why() {
    let long_label = format!("{}.example", "l".repeat(64));
    let long_name = "l.".repeat(127) + "x";
    for (pattern, reason) in [
        ("", "has no host"),
        (".", "has no host"),
        ("*.", "has no host"),
        (":80", "has no host"),
        (
            "*",
            "has a misplaced `*`, expected it only at the start, as in `*.example.com`",
        ),
        (
            "api.*.ai",
            "has a misplaced `*`, expected it only at the start, as in `*.example.com`",
        ),
        (
            "*.*.ai",
            "has a misplaced `*`, expected it only at the start, as in `*.example.com`",
        ),
        (
            "*workers.ai",
            "has a misplaced `*`, expected it only at the start, as in `*.example.com`",
        ),
        (
            "*.0.0.1",
            "has a wildcard before an IP address, expected a domain name",
        ),
        (
            "*.1",
            "has a wildcard before an IP address, expected a domain name",
        ),
        (
            "a..b",
            "has an invalid label, expected 1 to 63 bytes between dots",
        ),
        (
            ".a",
            "has an invalid label, expected 1 to 63 bytes between dots",
        ),
        (
            "a..",
            "has an invalid label, expected 1 to 63 bytes between dots",
        ),
        (
            &long_label,
            "has an invalid label, expected 1 to 63 bytes between dots",
        ),
        (&long_name, "has 255 bytes, expected at most 253"),
        ("h:", "has an invalid port, expected 1 to 65535"),
        ("h:0", "has an invalid port, expected 1 to 65535"),
        ("h:65536", "has an invalid port, expected 1 to 65535"),
        ("[::1]:", "has an invalid port, expected 1 to 65535"),
        ("[::g]", "has an invalid IPv6 address in its brackets"),
        ("[::1", "has an invalid IPv6 address in its brackets"),
        ("[[::1]", "has an invalid IPv6 address in its brackets"),
        ("[::1]]", "has an invalid IPv6 address in its brackets"),
        ("[::1]x", "has an invalid IPv6 address in its brackets"),
        (
            "[fe80::1%25eth0]",
            "has an invalid IPv6 address in its brackets",
        ),
        ("[127.0.0.1]", "has an invalid IPv6 address in its brackets"),
        ("https://", "has no host"),
        ("https://:443", "has no host"),
        (
            "https://*",
            "has a misplaced `*`, expected it only at the start, as in `*.example.com`",
        ),
        ("http://h:65536", "has an invalid port, expected 1 to 65535"),
        ("wss://[::g]", "has an invalid IPv6 address in its brackets"),
    ] {
        let error = pattern.parse::<HostPattern>().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("host pattern {reason}"),
            "{pattern}"
        );
        assert_eq!(HostPattern::try_from(pattern).unwrap_err(), error);
        let owned = pattern.to_owned();
        assert_eq!(HostPattern::try_from(&owned).unwrap_err(), error);
        assert_eq!(HostPattern::try_from(owned).unwrap_err(), error);
    }
}

#[test]
fn the_error_for_an_invalid_character_shows_it_and_says_what_is_expected() {
    let port = "a host with an optional port";
    let brackets = "a host with an optional port, and brackets around an IPv6 address";
    let punycode = "the name's Punycode form (`xn--…`)";
    let (no_path, no_user) = ("no path after the host", "no user before the host");
    for (pattern, character, index, expected) in [
        ("api.fireworks.ai/v1", "0x2f ('/')", 16, no_path),
        ("[::1]:/v1", "0x2f ('/')", 6, no_path),
        ("alice@h:/v1", "0x40 ('@')", 5, no_user),
        ("https://api.x.ai/", "0x2f ('/')", 16, no_path),
        ("https://api.x.ai:443/v1", "0x2f ('/')", 20, no_path),
        ("https://[::1]/v1", "0x2f ('/')", 13, no_path),
        ("api.x.ai?key", "0x3f ('?')", 8, no_path),
        ("ws://api.x.ai#top", "0x23 ('#')", 13, no_path),
        ("https://https://api.x.ai", "0x2f ('/')", 14, no_path),
        ("user@api.fireworks.ai", "0x40 ('@')", 4, no_user),
        ("user:pw@api.x.ai", "0x40 ('@')", 7, no_user),
        ("https://user:pw@api.x.ai:443", "0x40 ('@')", 15, no_user),
        ("2001:db8::7", "0x3a (':')", 4, brackets),
        ("https://2001:db8::7", "0x3a (':')", 12, brackets),
        ("api.x.ai:https", "0x3a (':')", 8, brackets),
        ("*.bücher.example", "0xc3 ('ü')", 3, punycode),
        ("https://*.bücher.example", "0xc3 ('ü')", 11, punycode),
        ("\u{202e}h", "0xe2 ('\\u{202e}')", 0, punycode),
        (" h", "0x20 (' ')", 0, port),
        ("h\n", "0x0a ('\\n')", 1, port),
        ("https://h\t", "0x09 ('\\t')", 9, port),
        ("h%41", "0x25 ('%')", 1, port),
        ("h]", "0x5d (']')", 1, port),
    ] {
        assert_eq!(
            pattern.parse::<HostPattern>().unwrap_err().to_string(),
            format!(
                "host pattern has invalid byte {character} at index {index}, expected {expected}"
            ),
            "{pattern}"
        );
    }
}

#[test]
fn the_error_for_an_unsupported_scheme_lists_the_supported_ones() {
    for pattern in [
        "ftp://api.x.ai",
        "HTTP2://api.x.ai:443",
        "grpc+tls://api.x.ai",
        "httpss://api.x.ai",
        "*://api.x.ai",
        "://api.x.ai",
        "https:/api.x.ai",
        "unix:/run/llm.sock",
        "file:///etc/hosts",
    ] {
        assert_eq!(
            pattern.parse::<HostPattern>().unwrap_err().to_string(),
            "host pattern has an invalid scheme, expected `http://`, `https://`, `ws://` or `wss://`",
            "{pattern}"
        );
    }
}

#[test]
#[should_panic(
    expected = "host pattern has a misplaced `*`, expected it only at the start, as in `*.example.com`"
)]
fn an_invalid_literal_panics_with_the_reason() {
    let _ = HostPattern::from_static("*");
}

//! Which hosts a pattern matches, look-alikes above all.

use std::collections::HashSet;

use http::{Extensions, HeaderMap, Method, Uri};
use tower_session_affinity::{
    AffinityKey, Destination, Destinations, HostPattern, MergePolicy, Outcome, SessionAffinityLayer,
};

fn matches(pattern: &str, uri: &str) -> bool {
    let pattern: HostPattern = pattern.parse().unwrap();
    pattern.matches(&uri.parse::<Uri>().unwrap())
}

fn check(pattern: &str, matching: &[&str], others: &[&str]) {
    for uri in matching {
        assert!(matches(pattern, uri), "{pattern} should match {uri}");
    }
    for uri in others {
        assert!(!matches(pattern, uri), "{pattern} should not match {uri}");
    }
}

#[test]
fn a_name_matches_itself_and_no_look_alike() {
    check(
        "api.fireworks.ai",
        &[
            "https://api.fireworks.ai",
            "https://api.fireworks.ai/inference/v1?x=evil.com",
            "http://api.fireworks.ai:8080/",
            "https://user:pw@api.fireworks.ai/",
            "api.fireworks.ai:443",
        ],
        &[
            "https://api.fireworks.ai.evil.com/",
            "https://evil-api.fireworks.ai/",
            "https://api.fireworks.ai@evil.com/",
            "https://api.fireworks.ai:pw@evil.com/",
            "https://api.fireworks.ai:443@evil.com/",
            "https://evil.com/api.fireworks.ai",
            "https://evil.com/?api.fireworks.ai",
            "https://fireworks.ai/",
            "https://eu.api.fireworks.ai/",
            "https://api.fireworks.a/",
            "https://api-fireworks.ai/",
        ],
    );
}

#[test]
fn case_and_one_trailing_dot_do_not_count_on_either_side() {
    for pattern in ["api.fireworks.ai", "API.Fireworks.AI", "api.fireworks.ai."] {
        check(
            pattern,
            &[
                "https://API.FIREWORKS.ai/",
                "https://api.fireworks.ai./",
                "https://api.fireworks.ai.:8/",
            ],
            &["https://api.fireworks.ai../", "https://.api.fireworks.ai/"],
        );
    }
}

#[test]
fn a_wildcard_matches_subdomains_at_any_depth_and_not_the_apex() {
    for pattern in ["*.workers.ai", "*.Workers.AI", "*.workers.ai."] {
        check(
            pattern,
            &[
                "https://api.workers.ai/",
                "https://a.b.c.workers.ai/",
                "https://API.WORKERS.AI./",
            ],
            &[
                "https://workers.ai/",
                "https://.workers.ai/",
                "https://evilworkers.ai/",
                "https://api.workers.ai.evil.com/",
                "https://x.workers.ai@evil.com/",
            ],
        );
    }
}

#[test]
fn a_port_matches_itself_and_the_default_of_the_scheme() {
    check(
        "gateway.internal:443",
        &[
            "https://gateway.internal/",
            "https://gateway.internal:443/",
            "wss://gateway.internal/",
            "http://gateway.internal:443/",
        ],
        &[
            "http://gateway.internal/",
            "https://gateway.internal:8443/",
            "gateway.internal:80",
        ],
    );
    check(
        "gateway.internal:80",
        &["http://gateway.internal/", "ws://gateway.internal/"],
        &["https://gateway.internal/", "ftp://gateway.internal/"],
    );
    check(
        "*.internal:8443",
        &["https://a.internal:8443/", "a.internal:8443"],
        &["https://a.internal/"],
    );
}

#[test]
fn a_pattern_without_a_port_matches_every_port() {
    check(
        "h",
        &[
            "http://h",
            "http://h:1",
            "https://h:65535",
            "h:9",
            "ftp://h",
        ],
        &["http://hh"],
    );
}

#[test]
fn a_scheme_matches_itself_and_no_other() {
    check(
        "https://api.x.ai",
        &[
            "https://api.x.ai/v1",
            "HTTPS://API.X.AI./v1",
            "https://api.x.ai:443/",
            "https://api.x.ai:8443/",
            "https://user:pw@api.x.ai/",
        ],
        &[
            "http://api.x.ai/",
            "http://api.x.ai:443/",
            "wss://api.x.ai/",
            "ws://api.x.ai:443/",
            "ftp://api.x.ai/",
            "httpss://api.x.ai/",
            // Of an authority alone nobody knows whether it is sent in the clear.
            "api.x.ai",
            "api.x.ai:443",
            "/v1",
            "https://api.x.ai.evil.com/",
            "https://https@evil.com/",
        ],
    );
    check(
        "http://api.x.ai",
        &["http://api.x.ai/", "http://api.x.ai:443/"],
        &[
            "https://api.x.ai/",
            "ws://api.x.ai/",
            "https://api.x.ai:80/",
        ],
    );
    check(
        "WSS://api.x.ai",
        &["wss://api.x.ai/v1/realtime", "WSS://api.x.ai/"],
        &["https://api.x.ai/", "ws://api.x.ai/"],
    );
    check("ws://h", &["ws://h/"], &["wss://h/", "http://h/"]);
}

#[test]
fn a_scheme_goes_with_ports_wildcards_and_addresses() {
    check(
        "https://gateway.internal:443",
        &["https://gateway.internal/", "https://gateway.internal:443/"],
        &[
            "http://gateway.internal:443/",
            "https://gateway.internal:8443/",
            "wss://gateway.internal/",
        ],
    );
    check(
        "http://gateway.internal:443",
        &["http://gateway.internal:443/"],
        &["http://gateway.internal/", "https://gateway.internal/"],
    );
    check(
        "https://*.workers.ai",
        &[
            "https://eu.api.workers.ai/",
            "https://API.Workers.AI.:8443/",
        ],
        &["http://api.workers.ai/", "https://workers.ai/"],
    );
    check(
        "wss://[::1]:443",
        &["wss://[0:0::1]/"],
        &["https://[::1]/", "wss://[::1]:80/"],
    );
}

#[test]
fn the_default_port_of_a_scheme_does_not_depend_on_its_case() {
    let upper_case = Uri::builder()
        .scheme("HTTPS")
        .authority("api.x.ai")
        .path_and_query("/");
    let upper_case = upper_case.build().unwrap();
    assert_eq!(upper_case.scheme_str(), Some("HTTPS"));
    for pattern in ["api.x.ai:443", "https://api.x.ai", "https://api.x.ai:443"] {
        assert!(
            HostPattern::from_static(pattern).matches(&upper_case),
            "{pattern}"
        );
    }
    for pattern in ["api.x.ai:80", "http://api.x.ai"] {
        assert!(
            !HostPattern::from_static(pattern).matches(&upper_case),
            "{pattern}"
        );
    }
}

#[test]
fn an_ipv6_address_matches_however_it_is_spelled() {
    check(
        "[2001:db8::7]",
        &[
            "http://[2001:db8::7]/",
            "http://[2001:DB8:0:0:0:0:0:7]:8080/",
        ],
        &[
            "http://[2001:db8::8]/",
            "http://[2001:db8::70]/",
            "http://2001.db8.7/",
        ],
    );
    check(
        "[::1]:8080",
        &["http://[::1]:8080/"],
        &["http://[::1]/", "http://[::1]:80/"],
    );
}

#[test]
fn an_ipv6_address_is_not_one_that_only_resembles_it() {
    for (pattern, resembling) in [
        ("[::127.0.0.1]", "[::ffff:127.0.0.1]"),
        ("[::127.0.0.1]", "127.0.0.1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
        ("[::1]", "[::ffff:0.0.0.1]"),
        ("[::1]", "127.0.0.1"),
        ("[::1]", "localhost"),
        ("[64:ff9b::192.0.2.1]", "[::192.0.2.1]"),
        ("[fe80::1]", "[fe80::1%25eth0]"),
        ("[2001:db8::7]", "[v7.2001:db8::7]"),
    ] {
        for (one, other) in [(pattern, resembling), (resembling, pattern)] {
            let Ok(pattern) = one.parse::<HostPattern>() else {
                continue;
            };
            let uri = format!("http://{other}/").parse().unwrap();
            assert!(!pattern.matches(&uri), "{one} should not match {other}");
        }
    }
    let spellings = ["[::127.0.0.1]", "[::7f00:1]", "[0:0:0:0:0:0:7F00:0001]"];
    for one in spellings {
        let uris = spellings.map(|other| format!("http://{other}/"));
        check(one, &uris.each_ref().map(String::as_str), &[]);
    }
}

#[test]
fn a_name_of_service_discovery_may_have_an_underscore() {
    check(
        "_http._tcp.llm_gateway",
        &["http://_http._tcp.llm_gateway/"],
        &["http://http.tcp.llm-gateway/"],
    );
}

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
    assert_eq!(different.len(), patterns.len());
}

#[test]
fn an_ipv4_address_matches_as_text() {
    check(
        "127.0.0.1",
        &["http://127.0.0.1:9/"],
        &["http://127.0.0.11/", "http://1.127.0.0.1/"],
    );
}

#[test]
fn a_uri_without_an_authority_matches_no_pattern() {
    for pattern in ["api.fireworks.ai", "*.workers.ai", "[::1]"] {
        check(pattern, &[], &["/v1/chat", "*", "/api.fireworks.ai"]);
    }
}

#[test]
fn a_bad_pattern_is_an_error_that_says_why() {
    let long_label = format!("{}.example", "l".repeat(64));
    let long_name = "l.".repeat(127) + "x";
    for (pattern, reason) in [
        ("", "has no host"),
        (".", "has no host"),
        ("*.", "has no host"),
        (":80", "has no host"),
        ("*", "has a `*` that is not a leading `*.`"),
        ("api.*.ai", "has a `*` that is not a leading `*.`"),
        ("*.*.ai", "has a `*` that is not a leading `*.`"),
        ("*workers.ai", "has a `*` that is not a leading `*.`"),
        ("*.0.0.1", "has a wildcard on an IP address"),
        ("*.1", "has a wildcard on an IP address"),
        ("a..b", "has a label that is empty or has over 63 bytes"),
        (".a", "has a label that is empty or has over 63 bytes"),
        ("a..", "has a label that is empty or has over 63 bytes"),
        (
            &long_label,
            "has a label that is empty or has over 63 bytes",
        ),
        (&long_name, "has 255 bytes, at most 253"),
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
        ("https://*", "has a `*` that is not a leading `*.`"),
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
fn the_error_of_a_stray_character_shows_it_and_says_what_is_expected() {
    let port = "a host with an optional port";
    let brackets = "a host with an optional port, and brackets around an IPv6 address";
    let punycode = "the name's Punycode form (`xn--…`)";
    let (no_path, no_user) = ("no path behind the host", "no user before the host");
    for (pattern, character, index, expected) in [
        ("api.fireworks.ai/v1", "0x2f ('/')", 16, no_path),
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
fn the_error_of_a_scheme_that_patterns_do_not_have_says_that_it_is_one() {
    for pattern in [
        "ftp://api.x.ai",
        "HTTP2://api.x.ai:443",
        "grpc+tls://api.x.ai",
        "httpss://api.x.ai",
        "*://api.x.ai",
        "https:/api.x.ai",
        "unix:/run/llm.sock",
        "file:///etc/hosts",
    ] {
        assert_eq!(
            pattern.parse::<HostPattern>().unwrap_err().to_string(),
            "host pattern begins with a scheme other than `http://`, `https://`, `ws://` and `wss://`",
            "{pattern}"
        );
    }
}

#[test]
fn the_longest_name_and_the_longest_label_are_patterns() {
    let label = "l".repeat(63);
    let name = "l.".repeat(126) + "x";
    assert_eq!(name.len(), 253);
    for host in [&label, &name] {
        check(host, &[&format!("https://{host}/")], &["https://l.x/"]);
        check(&format!("{host}."), &[&format!("https://{host}/")], &[]);
    }
    let error = (name + "x").parse::<HostPattern>().unwrap_err();
    assert_eq!(error.to_string(), "host pattern has 254 bytes, at most 253");
}

#[test]
#[should_panic(expected = "host pattern has a `*` that is not a leading `*.`")]
fn a_bad_literal_panics_with_the_reason() {
    let _ = HostPattern::from_static("*");
}

fn outcome(layer: &SessionAffinityLayer, uri: &str, policy: MergePolicy) -> (Outcome, usize) {
    let mut extensions = Extensions::new();
    extensions.insert(AffinityKey::from_static("ours"));
    let mut headers = HeaderMap::new();
    headers.append("host", "api.fireworks.ai".parse().unwrap());
    headers.append("x-session-affinity", "user".parse().unwrap());
    let layer = layer.clone().merge_policy(policy);
    let outcome = layer.stamp(
        &Method::GET,
        &uri.parse().unwrap(),
        &mut headers,
        &extensions,
    );
    (
        outcome,
        headers.get_all("x-session-affinity").iter().count(),
    )
}

#[test]
fn a_list_is_a_guarantee_under_both_policies() {
    let listed = ["api.fireworks.ai", "*.workers.ai"].map(HostPattern::from_static);
    let layer = SessionAffinityLayer::new().only_hosts(listed);
    for (policy, allowed) in [
        (MergePolicy::Keep, Outcome::Kept),
        (MergePolicy::Replace, Outcome::Replaced),
    ] {
        for uri in ["https://api.fireworks.ai/v1", "https://eu.workers.ai/v1"] {
            assert_eq!(outcome(&layer, uri, policy), (allowed, 1), "{uri}");
        }
        for uri in ["https://evil.com/", "https://api.fireworks.ai.evil.com/"] {
            assert_eq!(
                outcome(&layer, uri, policy),
                (Outcome::HostNotAllowed, 0),
                "{uri}"
            );
        }
        // The `Host` header names a listed host and does not count.
        assert_eq!(
            outcome(&layer, "/v1/chat", policy),
            (Outcome::NoAuthority, 0)
        );
    }
}

#[test]
fn an_empty_list_allows_no_host() {
    let layer = SessionAffinityLayer::new().only_hosts([]);
    let expected = (Outcome::HostNotAllowed, 0);
    assert_eq!(
        outcome(&layer, "https://api.fireworks.ai/", MergePolicy::Keep),
        expected
    );
}

#[test]
fn an_empty_list_lets_no_request_without_an_authority_pass_either() {
    let layer = SessionAffinityLayer::new().only_hosts([]);
    for policy in [MergePolicy::Keep, MergePolicy::Replace] {
        for uri in ["/v1/chat", "*"] {
            assert_eq!(
                outcome(&layer, uri, policy),
                (Outcome::NoAuthority, 0),
                "{uri}"
            );
        }
    }
}

#[test]
fn a_host_that_is_listed_with_two_ports_has_both() {
    for host in ["gateway.internal", "*.internal", "[::1]"] {
        for ports in [[8443, 9443], [9443, 8443]] {
            let pattern = |port| HostPattern::try_from(format!("{host}:{port}")).unwrap();
            let layer = SessionAffinityLayer::new().only_hosts(ports.map(pattern));
            let host = host.replace('*', "gateway");
            let at = |port: u16| {
                let uri = format!("https://{host}:{port}/v1");
                outcome(&layer, &uri, MergePolicy::Keep)
            };
            for port in ports {
                assert_eq!(at(port), (Outcome::Kept, 1), "{host} {port}");
            }
            for port in [443, 8444, 94] {
                assert_eq!(at(port), (Outcome::HostNotAllowed, 0), "{host} {port}");
            }
        }
    }
}

#[test]
fn a_pattern_matches_wherever_it_is_in_a_list() {
    // The same hosts in the spelling of the list, and in a different one.
    let uris = [
        "https://api.x.ai/",
        "https://API.x.ai.:443/",
        "https://eu.workers.ai/",
        "https://[::1]:8443/",
        "https://[0::1]:8443/",
        "https://gateway.internal:8443/",
        "https://u@gateway.internal:8443/",
    ];
    let mut patterns = [
        "https://api.x.ai",
        "*.workers.ai",
        "[::1]:8443",
        "gateway.internal:8443",
    ]
    .map(HostPattern::from_static);
    for _ in 0..patterns.len() {
        patterns.rotate_left(1);
        let layer = SessionAffinityLayer::new().only_hosts(patterns.clone());
        for uri in uris {
            assert_eq!(
                outcome(&layer, uri, MergePolicy::Keep),
                (Outcome::Kept, 1),
                "{uri}"
            );
        }
        for uri in ["http://api.x.ai/", "https://[::1]/", "https://x.ai/"] {
            let refused = (Outcome::HostNotAllowed, 0);
            assert_eq!(outcome(&layer, uri, MergePolicy::Keep), refused, "{uri}");
        }
    }
}

#[test]
fn a_second_list_replaces_the_first() {
    let [fireworks, workers] = ["api.fireworks.ai", "*.workers.ai"].map(HostPattern::from_static);
    let layer = SessionAffinityLayer::new().only_hosts([fireworks]);
    let layer = layer.only_hosts([workers]);
    for policy in [MergePolicy::Keep, MergePolicy::Replace] {
        assert_eq!(
            outcome(&layer, "https://api.fireworks.ai/", policy),
            (Outcome::HostNotAllowed, 0)
        );
        assert_eq!(outcome(&layer, "https://eu.workers.ai/", policy).1, 1);
    }
    let none = (Outcome::HostNotAllowed, 0);
    let emptied = layer.only_hosts([]);
    assert_eq!(
        outcome(&emptied, "https://eu.workers.ai/", MergePolicy::Keep),
        none
    );
}

/// Patterns that meet at the same hosts, each with a path or without.
const ROWS: [(&str, Option<&str>); 14] = [
    ("h.example", None),
    ("h.example", Some("/a")),
    ("h.example:443", None),
    ("h.example:8443", None),
    ("h.example:8443", Some("/a")),
    ("https://h.example", None),
    ("http://h.example:443", None),
    ("*.example", None),
    ("*.example:8443", Some("/a")),
    ("https://*.example", None),
    ("*.h.example", None),
    ("[::1]", None),
    ("[::1]:8443", None),
    ("other.example", None),
];

const PLACES: [&str; 18] = [
    "https://h.example/a",
    "https://h.example/b",
    "http://h.example/a",
    "http://h.example:443/a",
    "https://h.example:443/b",
    "https://h.example:8443/a",
    "https://h.example:8443/b",
    "https://H.example/a",
    "https://h.example./b",
    "https://h.example.:8443/a",
    "https://u@h.example:8443/b",
    "h.example:8443",
    "https://a.h.example/a",
    "https://*.example/b",
    "https://[::1]:8443/a",
    "https://[0::1]/b",
    "https://example/a",
    "/a",
];

#[test]
fn of_a_table_the_first_row_that_matches_decides_in_every_spelling() {
    let row = |index: usize, (host, path): (&str, Option<&str>)| {
        let row = Destination::header(host, format!("x-{index}")).unwrap();
        path.map_or(row.clone(), |path| row.path_suffixes([path]).unwrap())
    };
    let places = PLACES.map(|place| place.parse::<Uri>().unwrap());
    for first in ROWS {
        for second in ROWS {
            for third in ROWS {
                let rows = [row(0, first), row(1, second), row(2, third)];
                let table = Destinations::new(rows.clone());
                for uri in &places {
                    let expected = rows.iter().find(|row| row.matches(uri));
                    assert_eq!(table.find(uri), expected, "{rows:?} {uri}");
                }
            }
        }
    }
}

//! Which hosts a pattern matches, look-alikes above all.

use http::{Extensions, HeaderMap, Method, Uri};
use tower_session_affinity::{
    AffinityKey, HostPattern, MergePolicy, Outcome, SessionAffinityLayer,
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
    ] {
        assert_eq!(
            HostPattern::from_static(one),
            HostPattern::from_static(other)
        );
    }
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
    ] {
        let error = pattern.parse::<HostPattern>().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("host pattern {reason}"),
            "{pattern}"
        );
        assert_eq!(HostPattern::try_from(pattern).unwrap_err(), error);
    }
    for (pattern, byte, index) in [
        ("https://api.fireworks.ai", "0x3a", 5),
        ("api.fireworks.ai/v1", "0x2f", 16),
        ("user@api.fireworks.ai", "0x40", 4),
        ("2001:db8::7", "0x3a", 4),
        ("*.bücher.example", "0xc3", 3),
        (" h", "0x20", 0),
    ] {
        let expected = format!(
            "host pattern has invalid byte {byte} at index {index}, \
             expected a host with an optional port"
        );
        assert_eq!(
            pattern.parse::<HostPattern>().unwrap_err().to_string(),
            expected,
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

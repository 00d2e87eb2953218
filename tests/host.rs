//! Which URIs a host pattern matches, and which look-alikes it does not.

use http::Uri;
use tower_session_affinity::HostPattern;

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
            "https://evil.com@x@api.fireworks.ai/",
            "https://x@evil.com:80@api.fireworks.ai:443/",
            "api.fireworks.ai:443",
        ],
        &[
            "https://api.fireworks.ai.evil.com/",
            "https://evil-api.fireworks.ai/",
            "https://api.fireworks.ai@evil.com/",
            "https://api.fireworks.ai:pw@evil.com/",
            "https://api.fireworks.ai:443@evil.com/",
            "https://api.fireworks.ai@x@evil.com/",
            "https://x@api.fireworks.ai@evil.com/",
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
fn case_and_one_trailing_dot_are_ignored_in_pattern_and_uri() {
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
fn a_bracket_inside_a_name_is_not_an_address() {
    check(
        "*.example",
        &["http://a[b]c.example/", "http://a[b]c.example:80/"],
        &[
            "http://[::1]/",
            "http://a.example[b]/",
            // Outside an address, the first colon ends the host.
            "http://a[::1]c.example:80/",
        ],
    );
    check("[::1]", &[], &["http://a[::1]/", "http://a[::1].example/"]);
}

#[test]
fn a_port_matches_itself_and_the_default_port_of_the_scheme() {
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
fn a_scheme_matches_only_itself() {
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
            // Without a scheme it is unknown whether the request is encrypted.
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
fn a_scheme_combines_with_ports_wildcards_and_addresses() {
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
fn an_ipv6_address_matches_all_its_spellings() {
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
fn an_ipv6_address_does_not_match_one_that_only_resembles_it() {
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
fn a_name_may_have_underscores() {
    check(
        "_http._tcp.llm_gateway",
        &["http://_http._tcp.llm_gateway/"],
        &["http://http.tcp.llm-gateway/"],
    );
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
fn names_up_to_253_bytes_and_labels_up_to_63_are_accepted() {
    let label = "l".repeat(63);
    let name = "l.".repeat(126) + "x";
    assert_eq!(name.len(), 253);
    for host in [&label, &name] {
        check(host, &[&format!("https://{host}/")], &["https://l.x/"]);
        check(&format!("{host}."), &[&format!("https://{host}/")], &[]);
    }
    let error = (name + "x").parse::<HostPattern>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "host pattern has 254 bytes, expected at most 253"
    );
}

//! Lists of host patterns, and tables whose first matching row decides.

use http::{Extensions, HeaderMap, Method, Uri};
use tower_session_affinity::{
    AffinityKey, Destination, Destinations, HostPattern, MergePolicy, Outcome, SessionAffinityLayer,
};

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
fn only_listed_hosts_get_a_value_under_either_policy() {
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
        // The `Host` header names a listed host, but only the URI counts.
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
fn an_empty_list_also_blocks_requests_without_an_authority() {
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
fn a_host_listed_with_two_ports_is_allowed_on_both() {
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
fn a_pattern_matches_at_any_position_in_a_list() {
    // The same hosts, spelled as in the list and differently.
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

/// Patterns that overlap at the same hosts, with and without a path.
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
fn the_first_matching_row_of_a_table_decides_whatever_the_spelling() {
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

//! How a table of rows picks the header of a request.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use tower_session_affinity::{
    Destination, Destinations, FromHeaders, HostPattern, MergePolicy, NoAffinity, Outcome,
    SessionAffinityLayer, header,
};

use crate::{OURS, one, sent};

#[test]
fn a_header_of_the_table_is_sent_only_to_the_hosts_of_its_rows() {
    let before = [
        ("x-session-id", "for openrouter"),
        ("x-grok-conv-id", "for xai"),
        ("x-grok-conv-id", "twice"),
        ("modal-session-id", "for modal"),
        ("x-request-id", "7"),
        ("x-session-token", "in no row"),
    ];
    let others = [("x-request-id", "7"), ("x-session-token", "in no row")];
    let others = others.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for policy in [MergePolicy::Keep, MergePolicy::Replace] {
        for (uri, ours) in [
            (
                "https://api.fireworks.ai/",
                Some(("x-session-affinity", "ours")),
            ),
            ("https://api.openai.com/", None),
            ("https://example.com/", None),
            ("/", None),
        ] {
            let (_, mut headers) = sent(Destinations::known(), policy, uri, &before);
            let mut expected = others.to_vec();
            expected.extend(ours.map(|(name, value)| (name.to_owned(), value.to_owned())));
            headers.sort();
            expected.sort();
            assert_eq!(headers, expected, "{policy:?} {uri}");
        }
    }
}

#[test]
fn headers_for_other_hosts_are_removed_from_a_map_of_any_size() {
    for others in [0, 7, 8, 63, 64, 65, 300] {
        let mut headers = HeaderMap::new();
        for number in 0..others {
            let name = HeaderName::try_from(format!("x-other-{number}")).unwrap();
            headers.insert(name, HeaderValue::from_static("other"));
        }
        headers.insert(header::X_SESSION_ID, HeaderValue::from_static("stray"));
        headers.insert(header::MODAL_SESSION_ID, HeaderValue::from_static("stray"));
        let layer = SessionAffinityLayer::new()
            .or(OURS)
            .destinations(Destinations::known());
        let uri = Uri::from_static("https://api.x.ai/");
        layer.stamp(&Method::POST, &uri, &mut headers, &http::Extensions::new());
        assert_eq!(headers["x-grok-conv-id"], "ours");
        assert_eq!(
            headers.len(),
            others + 1,
            "expected only the header of the row and {others} others"
        );
    }
}

#[test]
fn the_merge_policy_applies_to_the_header_of_the_row() {
    let before = [("x-grok-conv-id", "theirs"), ("x-grok-conv-id", "twice")];
    let uri = "https://api.x.ai/v1/chat/completions";
    let keep = sent(Destinations::known(), MergePolicy::Keep, uri, &before);
    assert_eq!(keep, (Outcome::Kept, one("x-grok-conv-id", "theirs")));
    let replace = sent(Destinations::known(), MergePolicy::Replace, uri, &before);
    assert_eq!(replace, (Outcome::Replaced, one("x-grok-conv-id", "ours")));
}

#[test]
fn the_first_matching_row_decides_whatever_the_spelling_of_the_uri() {
    let wide = Destination::from_static("*.example", "x-wide");
    let exact = Destination::from_static("api.example", "x-exact");
    let port = Destination::from_static("api.example:8443", "x-port");
    let (w, e, p) = (wide.clone(), exact.clone(), port.clone());
    let name = |rows: Vec<Destination>, uri: &str| {
        let list = Destinations::new(rows);
        let row = list.find(&uri.parse().unwrap());
        row.and_then(Destination::header_name)
            .map(ToString::to_string)
    };
    for uri in [
        "https://api.example",
        "https://API.example.",
        "https://api.example:8443",
    ] {
        let first = vec![w.clone(), e.clone(), p.clone()];
        assert_eq!(name(first, uri).as_deref(), Some("x-wide"), "{uri}");
        let first = vec![e.clone(), w.clone(), p.clone()];
        assert_eq!(name(first, uri).as_deref(), Some("x-exact"), "{uri}");
    }
    let first = vec![port, wide, exact];
    assert_eq!(
        name(first.clone(), "https://api.example:8443/").as_deref(),
        Some("x-port")
    );
    assert_eq!(
        name(first.clone(), "https://Api.Example:8443/").as_deref(),
        Some("x-port")
    );
    assert_eq!(
        name(first.clone(), "https://api.example:443/").as_deref(),
        Some("x-wide")
    );
    assert_eq!(name(first, "https://api.other/"), None);
}

#[test]
fn with_puts_rows_first_and_without_removes_them_by_pattern() {
    let list = Destinations::known()
        .with(Destination::from_static("api.x.ai", "x-first"))
        .with_all([
            Destination::from_static("api.x.ai", "x-second"),
            Destination::from_static("api.x.ai", "x-third"),
        ]);
    let names: Vec<_> = list
        .iter()
        .take(3)
        .map(|row| row.header_name().unwrap().as_str())
        .collect();
    assert_eq!(names, ["x-second", "x-third", "x-first"]);
    let without = list.without(&HostPattern::from_static("api.x.ai"));
    assert!(
        without
            .find(&Uri::from_static("https://api.x.ai/"))
            .is_none()
    );
    assert_eq!(
        without.iter().count(),
        Destinations::known().iter().count() - 2
    );
}

#[test]
fn a_session_read_from_a_header_is_sent_in_the_header_of_the_row() {
    let layer = SessionAffinityLayer::new()
        .or(FromHeaders::new([header::X_SESSION_ID]))
        .destinations(Destinations::known());
    let request = Request::post("https://api.x.ai/v1").header("x-session-id", "chat-7");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let headers = &mut parts.headers;
    assert_eq!(
        layer.stamp(&parts.method, &parts.uri, headers, &parts.extensions),
        Outcome::Stamped
    );
    assert_eq!(headers["x-grok-conv-id"], "chat-7");
    assert_eq!(headers.len(), 1, "expected no other header: {headers:?}");
}

#[test]
fn no_affinity_and_only_hosts_apply_in_addition_to_a_table() {
    let layer = SessionAffinityLayer::new()
        .or(OURS)
        .destinations(Destinations::known());
    let listed = layer
        .clone()
        .only_hosts([HostPattern::from_static("api.x.ai")]);
    for (layer, uri, extension, outcome) in [
        (&layer, "https://api.x.ai/", true, Outcome::Suppressed),
        (&listed, "https://api.x.ai/", false, Outcome::Stamped),
        (
            &listed,
            "https://openrouter.ai/",
            false,
            Outcome::HostNotAllowed,
        ),
    ] {
        let mut request = Request::post(uri)
            .header("x-session-id", "stray")
            .body(())
            .unwrap();
        if extension {
            request.extensions_mut().insert(NoAffinity);
        }
        let (mut parts, ()) = request.into_parts();
        let headers = &mut parts.headers;
        assert_eq!(
            layer.stamp(&parts.method, &parts.uri, headers, &parts.extensions),
            outcome
        );
        assert_eq!(
            headers.len(),
            usize::from(outcome == Outcome::Stamped),
            "{uri}: {headers:?}"
        );
    }
}

#[test]
fn hosts_whose_lengths_differ_by_multiples_of_64_are_told_apart() {
    let host = |labels| format!("{}example", "a.".repeat(labels));
    let hosts = [4, 36, 68].map(host);
    let rows = hosts
        .each_ref()
        .map(|host| Destination::none(host).unwrap());
    let destinations = Destinations::new(rows);
    let find = |host: &str| {
        let uri: Uri = format!("https://{host}/").parse().unwrap();
        let row = destinations.find(&uri)?;
        Some(row.host().to_string())
    };
    for host in hosts {
        assert_eq!(find(&host), Some(host));
    }
    assert_eq!(find(&host(100)), None);
    // Longer than any pattern.
    assert_eq!(find(&host(2_500)), None);
}

#[test]
fn a_list_is_iterated_in_order_by_reference_and_by_value() {
    let rows = ["a.example", "b.example"].map(|host| Destination::none(host).unwrap());
    let destinations = Destinations::new(rows.clone());
    assert!((&destinations).into_iter().eq(&rows));
    assert!(destinations.into_iter().eq(rows));
}

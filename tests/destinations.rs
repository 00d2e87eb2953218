//! Each provider gets the header that it reads, and other hosts get none.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use tower_session_affinity::{
    AffinityKey, Destination, Destinations, FromHeaders, HostPattern, MergePolicy, NoAffinity,
    Outcome, SessionAffinityLayer, header,
};

const OURS: AffinityKey = AffinityKey::from_static("ours");

/// Returns the outcome and all headers that a layer with a fixed key sends to this URI.
fn sent(
    destinations: Destinations,
    policy: MergePolicy,
    uri: &str,
    before: &[(&'static str, &str)],
) -> (Outcome, Vec<(String, String)>) {
    let layer = SessionAffinityLayer::new().or(OURS).merge_policy(policy);
    let layer = layer.destinations(destinations);
    let mut headers = HeaderMap::new();
    for (name, value) in before {
        let value = HeaderValue::from_str(value).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    let uri: Uri = uri.parse().unwrap();
    let outcome = layer.stamp(&Method::POST, &uri, &mut headers, &http::Extensions::new());
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)));
    (outcome, pairs.collect())
}

fn known(uri: &str) -> (Outcome, Vec<(String, String)>) {
    sent(Destinations::known(), MergePolicy::Keep, uri, &[])
}

fn one(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

/// For each known row with a header: a matching host, and the header.
const HEADERS: [(&str, &str); 9] = [
    ("api.cloudflare.com", "x-session-affinity"),
    ("api.fireworks.ai", "x-session-affinity"),
    ("openrouter.ai", "x-session-id"),
    ("api.x.ai", "x-grok-conv-id"),
    ("api.mistral.ai", "x-affinity"),
    ("opencode.ai", "x-opencode-session"),
    ("api.llmgateway.io", "x-session-id"),
    ("model-7.api.baseten.co", "x-baseten-session-id"),
    ("acme--llm.modal.run", "modal-session-id"),
];

/// For each known row without a header: a matching host.
const NONE: [&str; 13] = [
    "api.openai.com",
    "acme.openai.azure.com",
    "acme.services.ai.azure.com",
    "api.anthropic.com",
    "api.cerebras.ai",
    "api.deepseek.com",
    "api.groq.com",
    "api.kimi.com",
    "api.moonshot.ai",
    "api.together.xyz",
    "api-inference.together.ai",
    "integrate.api.nvidia.com",
    "api.openai.com:443",
];

#[test]
fn each_known_host_gets_only_the_header_that_it_reads() {
    for (host, name) in HEADERS {
        let upper_case = host.to_ascii_uppercase();
        for uri in [
            format!("https://{host}/v1/chat/completions"),
            format!("https://{host}"),
            format!("https://{host}:8443/v1/deeper/path?query=/responses"),
            format!("http://{host}/"),
            format!("https://{upper_case}/v1/chat/completions"),
            format!("https://{host}./v1/chat/completions"),
        ] {
            assert_eq!(known(&uri), (Outcome::Stamped, one(name, "ours")), "{uri}");
        }
    }
}

#[test]
fn hosts_that_look_like_a_known_one_get_nothing() {
    for host in HEADERS.map(|(host, _)| host).into_iter().chain(NONE) {
        let host = host.split(':').next().unwrap();
        for uri in [
            format!("https://{host}.evil.example/v1"),
            format!("https://evil-{host}.example/v1"),
            format!("https://{host}@evil.example/v1"),
            format!("https://evil.example/{host}/v1"),
            format!("https://evil{}/v1", host.replacen('.', "", 1)),
        ] {
            assert_eq!(known(&uri), (Outcome::HostNotAllowed, vec![]), "{uri}");
        }
    }
    // A host without a wildcard is not a suffix, and a wildcard does not match its own domain.
    for host in [
        "x.api.x.ai",
        "evilapi.x.ai",
        "modal.run",
        "api.baseten.co",
        "evilmodal.run",
    ] {
        let uri = format!("https://{host}/");
        assert_eq!(known(&uri), (Outcome::HostNotAllowed, vec![]), "{uri}");
    }
}

#[test]
fn a_provider_that_reads_no_header_and_an_unlisted_host_have_different_outcomes() {
    for host in NONE {
        let uri = format!("https://{host}/v1/chat/completions");
        assert_eq!(known(&uri), (Outcome::HeaderNotRead, vec![]), "{uri}");
    }
    assert_eq!(known("https://example.com/").0, Outcome::HostNotAllowed);
    assert_eq!(known("/v1/chat/completions").0, Outcome::NoAuthority);
}

#[test]
fn the_xai_responses_api_reads_a_body_field_but_no_header() {
    for path in [
        "/v1/responses",
        "/v1/responses/",
        "/v1/responses?stream=true",
    ] {
        let uri = format!("https://api.x.ai{path}");
        assert_eq!(known(&uri), (Outcome::HeaderNotRead, vec![]), "{uri}");
    }
    for path in [
        "/v1/responses/7",
        "/v1/responses-old",
        "/v1/my-responses",
        "/",
    ] {
        let uri = format!("https://api.x.ai{path}");
        let expected = (Outcome::Stamped, one("x-grok-conv-id", "ours"));
        assert_eq!(known(&uri), expected, "{uri}");
    }
}

#[test]
fn known_and_unconfirmed_rows_name_the_body_fields_of_their_paths() {
    let all = Destinations::known().with_all(Destinations::unconfirmed());
    let field = |list: &Destinations, uri: &str| {
        let row = list.find(&uri.parse().unwrap());
        let field = row.and_then(|row| Some((row.body_field_name()?, row.max_key_len())));
        field.map(|(name, max_len)| (name.to_owned(), max_len))
    };
    let key = |max_len| Some(("prompt_cache_key".to_owned(), max_len));
    for (uri, in_known, in_all) in [
        (
            "https://api.openai.com/v1/chat/completions",
            key(Some(64)),
            key(Some(64)),
        ),
        (
            "https://api.openai.com/v1/responses",
            key(Some(64)),
            key(Some(64)),
        ),
        ("https://api.openai.com/v1/embeddings", None, None),
        ("https://api.x.ai/v1/responses", key(None), key(None)),
        ("https://api.x.ai/v1/chat/completions", None, None),
        (
            "https://api.mistral.ai/v1/chat/completions",
            key(None),
            key(None),
        ),
        ("https://api.mistral.ai/v1/fim/completions", None, None),
        (
            "https://acme.openai.azure.com/openai/v1/responses",
            None,
            key(Some(64)),
        ),
        (
            "https://eu.api.openai.com/v1/responses",
            None,
            key(Some(64)),
        ),
        (
            "https://api.groq.com/openai/v1/chat/completions",
            None,
            None,
        ),
        ("https://api.cerebras.ai/v1/chat/completions", None, None),
        (
            "https://integrate.api.nvidia.com/v1/chat/completions",
            None,
            None,
        ),
    ] {
        assert_eq!(field(&Destinations::known(), uri), in_known, "{uri}");
        assert_eq!(field(&all, uri), in_all, "{uri}");
    }
}

#[test]
fn rows_with_weaker_evidence_are_only_in_unconfirmed() {
    for row in &Destinations::unconfirmed() {
        let is_none = |known: &Destination| {
            known.header_name().is_none() && known.body_field_name().is_none()
        };
        let mut same = Destinations::known()
            .into_iter()
            .filter(|known| known.host() == row.host());
        assert!(same.all(|known| is_none(&known)), "{row:?}");
    }
    let all = Destinations::known().with_all(Destinations::unconfirmed());
    let (outcome, headers) = sent(all, MergePolicy::Keep, "https://api.z.ai/v4", &[]);
    assert_eq!(
        (outcome, headers),
        (Outcome::Stamped, one("x-session-id", "ours"))
    );
}

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
fn a_key_over_the_length_limit_of_its_row_is_not_sent() {
    let row = Destination::from_static("llm.internal", "x-session-id")
        .max_len(4)
        .unwrap();
    let layer = |key: &'static str| {
        SessionAffinityLayer::new()
            .or(AffinityKey::from_static(key))
            .destinations(row.clone().into())
    };
    let uri = Uri::from_static("https://llm.internal/");
    for (key, outcome, sent) in [
        ("1234", Outcome::Stamped, Some("1234")),
        ("12345", Outcome::TooLong, None),
    ] {
        let mut headers = HeaderMap::new();
        let extensions = http::Extensions::new();
        assert_eq!(
            layer(key).stamp(&Method::POST, &uri, &mut headers, &extensions),
            outcome
        );
        assert_eq!(
            headers
                .get("x-session-id")
                .map(|value| value.to_str().unwrap()),
            sent
        );
    }
    // The provider would answer a caller's long value with 400 as well.
    for (theirs, outcome) in [("1234", Outcome::Kept), ("12345", Outcome::TooLong)] {
        let mut headers = HeaderMap::new();
        headers.insert("x-session-id", HeaderValue::from_static(theirs));
        let extensions = http::Extensions::new();
        assert_eq!(
            layer("k").stamp(&Method::POST, &uri, &mut headers, &extensions),
            outcome
        );
        assert_eq!(
            headers.contains_key("x-session-id"),
            outcome == Outcome::Kept
        );
    }
}

#[cfg(feature = "hmac")]
#[test]
fn the_length_limit_applies_to_the_derived_key() {
    use tower_session_affinity::AffinitySecret;

    let secret = AffinitySecret::new(&[7; 32]).unwrap();
    let uri = Uri::from_static("https://llm.internal/");
    for (max_len, outcome) in [(36, Outcome::Stamped), (35, Outcome::TooLong)] {
        let row = Destination::from_static("llm.internal", "x-id")
            .max_len(max_len)
            .unwrap();
        let layer = SessionAffinityLayer::new()
            .or(AffinityKey::try_from("k".repeat(255)).unwrap())
            .destinations(row.into())
            .derive_per_host(secret.clone());
        let mut headers = HeaderMap::new();
        let extensions = http::Extensions::new();
        assert_eq!(
            layer.stamp(&Method::POST, &uri, &mut headers, &extensions),
            outcome
        );
        assert_eq!(headers.contains_key("x-id"), outcome == Outcome::Stamped);
    }
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
fn the_error_for_an_invalid_row_names_the_invalid_part() {
    let row = || Destination::from_static("llm.internal", "x-id");
    for (row, message) in [
        (
            Destination::header("", "x-id"),
            "destination has an invalid host: host pattern has no host",
        ),
        (
            Destination::header("llm.internal", ""),
            "destination has an invalid header name",
        ),
        (
            Destination::header("llm.internal", "x id"),
            "destination has an invalid header name",
        ),
        (
            Destination::header("llm.internal", "x-ü"),
            "destination has an invalid header name",
        ),
        (
            row().max_len(0),
            "destination has a maximum length of 0 bytes, expected at least 1",
        ),
        (
            row().path_suffixes([]),
            "destination has invalid path suffixes, expected at least one, each like `/responses`",
        ),
        (
            row().path_suffixes(["/a", "responses"]),
            "destination has invalid path suffixes, expected at least one, each like `/responses`",
        ),
        (
            row().path_suffixes(["/"]),
            "destination has invalid path suffixes, expected at least one, each like `/responses`",
        ),
    ] {
        assert_eq!(row.unwrap_err().to_string(), message);
    }
    for field in ["", "a b", "a\"", "a\\", "ü", &"f".repeat(65)] {
        assert_eq!(
            Destination::body_field("llm.internal", field)
                .unwrap_err()
                .to_string(),
            "destination has an invalid body field, expected 1 to 64 visible ASCII characters other than \
             `\"` and `\\`",
        );
    }
}

#[test]
#[should_panic(expected = "destination has an invalid header name")]
fn an_invalid_literal_panics_with_the_reason() {
    let _ = Destination::from_static("llm.internal", "x id");
}

#[test]
fn a_row_accepts_text_and_parsed_values() {
    let parsed = Destination::header(
        HostPattern::from_static("llm.internal"),
        header::X_SESSION_ID,
    );
    let text = Destination::header("LLM.internal.", "X-Session-Id");
    assert_eq!(parsed.unwrap(), text.unwrap());
}

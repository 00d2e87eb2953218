//! The rows that the crate ships.

use tower_session_affinity::{Destination, Destinations, MergePolicy, Outcome};

use crate::{known, one, sent};

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

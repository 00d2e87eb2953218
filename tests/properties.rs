//! Keys, host patterns and merges, compared with independent implementations.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tower_session_affinity::{
    AffinityKey, HostPattern, MergePolicy, NoAffinity, SessionAffinityLayer,
    header::X_SESSION_AFFINITY,
};

/// All characters of a key.
const KEY_CHARACTERS: &str = concat!(
    "!\"#$%&'()*+-./0123456789:;<=>?@",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`",
    "abcdefghijklmnopqrstuvwxyz{|}~"
);

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.len() < 256 && text.chars().all(|c| KEY_CHARACTERS.contains(c))
}

/// Splits a host into labels from the top level down, so that a pattern is a prefix.
fn labels(host: &str) -> Vec<String> {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.rsplit('.').map(str::to_lowercase).collect()
}

fn host_matches(pattern: &str, host: &str) -> bool {
    let host = labels(host);
    match pattern.strip_prefix("*.") {
        None => labels(pattern) == host,
        Some(parent) => {
            let parent = labels(parent);
            host.len() > parent.len() && host.starts_with(&parent)
        }
    }
}

/// Few labels, so that hosts and patterns often meet.
fn name() -> impl Strategy<Value = String> {
    let label = prop_oneof!["a", "A", "b", "ab", "a-b", "evil"];
    (vec(label, 1..5), option::of(Just(".")))
        .prop_map(|(labels, dot)| format!("{}{}", labels.join("."), dot.unwrap_or_default()))
}

fn port() -> impl Strategy<Value = Option<u16>> {
    option::of(prop_oneof![Just(80), Just(443), Just(8080)])
}

fn with_port(host: &str, port: Option<u16>) -> String {
    port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Header values, some of them blank or repeated.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b" \t".to_vec()),
        Just(b"user".to_vec()),
        vec(prop_oneof![0x20..=0x7E_u8, 0x80..=0xFF_u8], 0..6),
    ]
}

proptest! {
    #[test]
    fn a_text_is_a_key_if_and_only_if_it_has_1_to_255_key_characters(text in "\\PC{0,12}|[!-~]{0,300}") {
        let key = AffinityKey::try_from(text.as_str());
        prop_assert_eq!(key.is_ok(), is_key(&text));
        if let Ok(key) = key {
            prop_assert_eq!(key.as_str(), text);
        }
    }

    #[test]
    fn a_key_survives_a_round_trip_through_a_header_value(text in "[!-+\\--~]{1,255}") {
        let key: AffinityKey = text.parse().unwrap();
        let value = HeaderValue::from(key.clone());
        prop_assert_eq!(AffinityKey::try_from(&value).unwrap(), key.clone());
        prop_assert_eq!(AffinityKey::try_from(value).unwrap(), key);
    }

    #[test]
    fn no_error_repeats_the_value(text in "[a-z]{8,20}[ ,é][a-z]{8,20}") {
        let error = AffinityKey::try_from(text.as_str()).unwrap_err();
        let shown = format!("{error} {error:?}");
        for part in text.split([' ', ',', 'é']) {
            prop_assert!(!shown.contains(part), "{}", shown);
        }
    }

    #[test]
    fn a_pattern_matches_hosts_label_by_label(
        pattern in name(), wildcard: bool, host in name(), port in port(), uri_port in port(),
        https: bool, userinfo in option::of("[a-z.]{1,9}(:[a-z.]{1,9})?"),
    ) {
        let pattern = if wildcard { format!("*.{pattern}") } else { pattern };
        let scheme = if https { "https" } else { "http" };
        let userinfo = userinfo.map_or_else(String::new, |userinfo| format!("{userinfo}@"));
        let uri = format!("{scheme}://{userinfo}{}/", with_port(&host, uri_port));
        let uri: Uri = uri.parse().unwrap();
        let parsed: HostPattern = with_port(&pattern, port).parse().unwrap();

        let reached = uri_port.unwrap_or(if https { 443 } else { 80 });
        let expected = host_matches(&pattern, &host) && port.is_none_or(|port| port == reached);
        prop_assert_eq!(parsed.matches(&uri), expected, "{} {}", pattern, uri);
    }

    #[test]
    fn any_text_is_a_pattern_or_an_error_and_never_a_panic(text in "\\PC{0,20}|[a*.:\\[\\]0-9]{0,12}") {
        if let Ok(pattern) = text.parse::<HostPattern>() {
            let _ = pattern.matches(&Uri::from_static("https://a.b:8080/"));
        }
    }

    #[test]
    fn at_most_one_value_is_sent_and_it_is_the_one_of_the_table(
        before in vec(value(), 0..4), others in 0..12_usize, replace: bool, suppressed: bool,
        key in option::of(Just(AffinityKey::from_static("ours"))), allowed: bool,
    ) {
        let mut headers = HeaderMap::new();
        for i in 0..others {
            headers.append(HeaderName::try_from(format!("x-{i}")).unwrap(), HeaderValue::from(i));
        }
        for value in &before {
            headers.append(X_SESSION_AFFINITY, HeaderValue::from_bytes(value).unwrap());
        }
        let mut extensions = Extensions::new();
        if suppressed {
            extensions.insert(NoAffinity);
        }
        let policy = if replace { MergePolicy::Replace } else { MergePolicy::Keep };
        let host = if allowed { "a.example" } else { "b.example" };
        SessionAffinityLayer::new().or(key.clone()).merge_policy(policy)
            .only_hosts([HostPattern::try_from(host).unwrap()])
            .stamp(&Method::GET, &Uri::from_static("http://a.example"), &mut headers, &extensions);

        let first = before.iter().find(|value| value.iter().any(|byte| !b" \t".contains(byte)));
        let ours = key.map(|key| key.as_str().as_bytes().to_vec());
        let expected = match first {
            _ if !allowed || suppressed => None,
            Some(first) if !replace => Some(first.clone()),
            _ => ours,
        };
        let sent = headers.get_all(X_SESSION_AFFINITY).iter().map(|value| value.as_bytes().to_vec());
        prop_assert_eq!(sent.collect::<Vec<_>>(), Vec::from_iter(expected));
        prop_assert_eq!(headers.keys().filter(|name| *name != X_SESSION_AFFINITY).count(), others);
    }
}

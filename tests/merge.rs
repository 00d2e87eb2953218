//! The truth table of `MergePolicy`, row by row, on header maps of every shape.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Method, Uri};
use tower_session_affinity::{
    AffinityKey, FromExtension, FromFn, HostPattern, KeyExtractor, MergePolicy, NoAffinity, Or,
    Outcome, RequestHead, SessionAffinityLayer, header::X_SESSION_AFFINITY,
};

const KEEP: MergePolicy = MergePolicy::Keep;
const REPLACE: MergePolicy = MergePolicy::Replace;
const NON_ASCII: &[u8] = b"schl\xc3\xbcssel";

/// The header values before, and the one value that is sent under each policy.
struct Row {
    before: &'static [&'static [u8]],
    keep: Option<&'static [u8]>,
    replace: Option<&'static [u8]>,
}

/// A row in the order of the columns: the values before, then what `Keep` and `Replace` send.
const fn row(
    before: &'static [&'static [u8]],
    keep: Option<&'static [u8]>,
    replace: Option<&'static [u8]>,
) -> Row {
    Row {
        before,
        keep,
        replace,
    }
}

const WITH_A_KEY: &[Row] = &[
    row(&[], Some(b"ours"), Some(b"ours")),
    row(&[b""], Some(b"ours"), Some(b"ours")),
    row(&[b" \t "], Some(b"ours"), Some(b"ours")),
    row(&[b"", b" "], Some(b"ours"), Some(b"ours")),
    row(&[b"user"], Some(b"user"), Some(b"ours")),
    row(&[b"user, abc"], Some(b"user, abc"), Some(b"ours")),
    row(&[b"user", b"abc"], Some(b"user"), Some(b"ours")),
    row(&[b"user", b"user"], Some(b"user"), Some(b"ours")),
    row(&[b"", b"user"], Some(b"user"), Some(b"ours")),
    row(&[b"user", b""], Some(b"user"), Some(b"ours")),
    row(&[b"", b"b", b" ", b"c"], Some(b"b"), Some(b"ours")),
    row(&[NON_ASCII], Some(NON_ASCII), Some(b"ours")),
    row(&[b"", NON_ASCII, b"x"], Some(NON_ASCII), Some(b"ours")),
];

const WITHOUT_A_KEY: &[Row] = &[
    row(&[], None, None),
    row(&[b""], None, None),
    row(&[b" ", b"\t"], None, None),
    row(&[b"user"], Some(b"user"), None),
    row(&[b"", b"user", b"abc"], Some(b"user"), None),
    row(&[NON_ASCII], Some(NON_ASCII), None),
];

/// Other headers around ours: few and many, since large maps are searched by hash, and a repeated one.
fn surroundings() -> Vec<Vec<(HeaderName, HeaderValue)>> {
    let numbered = |count: usize| -> Vec<_> {
        let name = |i| HeaderName::try_from(format!("x-other-{i}")).unwrap();
        (0..count)
            .map(|i| (name(i), HeaderValue::from(i)))
            .collect()
    };
    let mut repeated = numbered(3);
    repeated.push((http::header::ACCEPT, HeaderValue::from_static("text/html")));
    repeated.push((http::header::ACCEPT, HeaderValue::from_static("text/plain")));
    vec![
        numbered(0),
        numbered(1),
        numbered(6),
        numbered(7),
        numbered(8),
        numbered(20),
        repeated,
    ]
}

fn headers(others: &[(HeaderName, HeaderValue)], ours: &[&'static [u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let (first, rest) = others.split_at(others.len() / 2);
    for (name, value) in first {
        headers.insert(name, value.clone());
    }
    for value in ours {
        headers.append(X_SESSION_AFFINITY, HeaderValue::from_bytes(value).unwrap());
    }
    for (name, value) in rest {
        headers.append(name, value.clone());
    }
    headers
}

fn values(headers: &HeaderMap) -> Vec<&[u8]> {
    headers
        .get_all(X_SESSION_AFFINITY)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect()
}

fn others(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let mut others: Vec<_> = headers
        .iter()
        .filter(|(name, _)| *name != X_SESSION_AFFINITY)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    others.sort_by_key(|(name, _)| name.as_str().to_owned());
    others
}

fn stamp<K: KeyExtractor>(
    layer: &SessionAffinityLayer<K>,
    headers: &mut HeaderMap,
    extensions: &Extensions,
) -> Outcome {
    let uri = Uri::from_static("https://api.example/v1/chat");
    layer.stamp(&Method::POST, &uri, headers, extensions)
}

fn extensions<T: Clone + Send + Sync + 'static>(value: T) -> Extensions {
    let mut extensions = Extensions::new();
    extensions.insert(value);
    extensions
}

fn check(rows: &[Row], extensions: &Extensions, layer: &SessionAffinityLayer) {
    for (policy, row) in rows.iter().flat_map(|row| [(KEEP, row), (REPLACE, row)]) {
        for around in surroundings() {
            let mut headers = headers(&around, row.before);
            let untouched = others(&headers);
            stamp(
                &layer.clone().merge_policy(policy),
                &mut headers,
                extensions,
            );

            let expected = if policy == KEEP {
                row.keep
            } else {
                row.replace
            };
            let context = format!("{policy:?}, {:?}, {} others", row.before, around.len());
            assert_eq!(values(&headers), Vec::from_iter(expected), "{context}");
            assert_eq!(others(&headers), untouched, "{context}");
        }
    }
}

#[test]
fn with_a_key_each_row_of_the_table_holds() {
    let key = extensions(AffinityKey::from_static("ours"));
    check(WITH_A_KEY, &key, &SessionAffinityLayer::new());
}

/// A value that is removed and inserted again would come last.
#[test]
fn a_kept_value_stays_where_it_is() {
    let key = extensions(AffinityKey::from_static("ours"));
    for (before, around) in [&[b"user".as_slice()][..], &[b"user", b"abc"]]
        .into_iter()
        .flat_map(|before| {
            surroundings()
                .into_iter()
                .map(move |around| (before, around))
        })
    {
        let mut headers = headers(&around, before);
        let names: Vec<_> = headers.keys().cloned().collect();
        stamp(&SessionAffinityLayer::new(), &mut headers, &key);
        assert!(headers.keys().eq(&names), "{headers:?}");
    }
}

#[test]
fn without_a_key_each_row_of_the_table_holds() {
    check(
        WITHOUT_A_KEY,
        &Extensions::new(),
        &SessionAffinityLayer::new(),
    );
}

/// Checks that no value is sent, whatever the request has.
fn check_removed<K: KeyExtractor + Clone>(
    layer: &SessionAffinityLayer<K>,
    extensions: &Extensions,
    expected: Outcome,
) {
    for (policy, row) in WITH_A_KEY
        .iter()
        .flat_map(|row| [(KEEP, row), (REPLACE, row)])
    {
        for around in surroundings() {
            let mut headers = headers(&around, row.before);
            let layer = layer.clone().merge_policy(policy);
            assert_eq!(stamp(&layer, &mut headers, extensions), expected);
            assert!(values(&headers).is_empty(), "{policy:?} {:?}", row.before);
        }
    }
}

#[test]
fn no_affinity_removes_every_value_whatever_the_sources_say() {
    let layer = SessionAffinityLayer::new().or(AffinityKey::from_static("ours"));
    let mut marked = extensions(NoAffinity);
    marked.insert(AffinityKey::from_static("extension"));
    check_removed(&layer, &marked, Outcome::Suppressed);
}

#[test]
fn an_unlisted_host_gets_no_value() {
    let listed = HostPattern::from_static("api.other.example");
    let layer = SessionAffinityLayer::new().only_hosts([listed]);
    let key = extensions(AffinityKey::from_static("ours"));
    check_removed(&layer, &key, Outcome::HostNotAllowed);
}

#[test]
fn the_outcome_for_an_unlisted_host_takes_precedence_over_no_affinity() {
    let layer = SessionAffinityLayer::new().only_hosts([]);
    let mut headers = headers(&[], &[b"user"]);
    assert_eq!(
        stamp(&layer, &mut headers, &extensions(NoAffinity)),
        Outcome::HostNotAllowed
    );
    assert!(values(&headers).is_empty());
}

type Counting<F> = SessionAffinityLayer<Or<FromExtension, FromFn<F>>>;

#[test]
fn only_spaces_and_tabs_are_blank() {
    let layer = SessionAffinityLayer::new().or(AffinityKey::from_static("ours"));
    for byte in 0..=u8::MAX {
        let Ok(value) = HeaderValue::from_bytes(&[byte]) else {
            continue;
        };
        let mut headers = HeaderMap::from_iter([(X_SESSION_AFFINITY, value)]);
        let outcome = stamp(&layer, &mut headers, &Extensions::new());
        let expected = match byte {
            b' ' | b'\t' => Outcome::Replaced,
            _ => Outcome::Kept,
        };
        assert_eq!(outcome, expected, "{byte:#04x}");
    }
}

fn forbidden_source() -> Counting<impl Fn(RequestHead<'_>) -> Option<AffinityKey> + Clone> {
    SessionAffinityLayer::new().or_fn(|_| panic!("a source was asked"))
}

#[test]
fn keep_asks_no_source_if_there_is_a_value() {
    for before in [&[b"user".as_slice()][..], &[b"", b"user"]] {
        let mut headers = headers(&[], before);
        stamp(&forbidden_source(), &mut headers, &Extensions::new());
        assert_eq!(values(&headers), [b"user"]);
    }
}

#[test]
fn no_source_is_asked_if_the_request_must_not_carry_a_key() {
    let layer = forbidden_source().merge_policy(REPLACE);
    stamp(&layer, &mut HeaderMap::new(), &extensions(NoAffinity));
    stamp(
        &layer.only_hosts([]),
        &mut HeaderMap::new(),
        &Extensions::new(),
    );
}

#[test]
fn the_outcome_says_what_was_done() {
    let key = extensions(AffinityKey::from_static("ours"));
    let none = Extensions::new();
    for (policy, before, extensions, expected) in [
        (KEEP, &[][..], &key, Outcome::Stamped),
        (KEEP, &[b"user".as_slice()], &key, Outcome::Kept),
        (KEEP, &[b"user", b"abc"], &key, Outcome::Kept),
        (KEEP, &[b""], &key, Outcome::Replaced),
        (KEEP, &[], &none, Outcome::NoKey),
        (KEEP, &[b" "], &none, Outcome::NoKey),
        (REPLACE, &[], &key, Outcome::Stamped),
        (REPLACE, &[b"user"], &key, Outcome::Replaced),
        (REPLACE, &[b"user"], &none, Outcome::NoKey),
    ] {
        let layer = SessionAffinityLayer::new().merge_policy(policy);
        let outcome = stamp(&layer, &mut headers(&[], before), extensions);
        assert_eq!(outcome, expected, "{policy:?} {before:?}");
    }
}

#[test]
fn the_sensitive_flag_of_a_kept_value_survives() {
    let mut secret = HeaderValue::from_static("user");
    secret.set_sensitive(true);
    let mut headers = headers(&[], &[b""]);
    headers.append(X_SESSION_AFFINITY, secret);
    headers.append(X_SESSION_AFFINITY, HeaderValue::from_static("abc"));
    stamp(
        &SessionAffinityLayer::new(),
        &mut headers,
        &Extensions::new(),
    );
    assert!(headers[X_SESSION_AFFINITY].is_sensitive());
}

/// The most names that a `HeaderMap` holds.
const FULL: usize = 24_576;

fn full_map(ours: &[&'static [u8]]) -> HeaderMap {
    let names = FULL - usize::from(!ours.is_empty());
    let mut headers = HeaderMap::new();
    for value in ours {
        headers.append(X_SESSION_AFFINITY, HeaderValue::from_bytes(value).unwrap());
    }
    for i in 0..names {
        headers.insert(
            HeaderName::try_from(format!("x-{i}")).unwrap(),
            HeaderValue::from(i),
        );
    }
    let other = HeaderName::from_static("x-one-more");
    assert!(
        headers.try_insert(other, HeaderValue::from(0)).is_err(),
        "the map takes one more name, expected it to be full"
    );
    headers
}

#[test]
fn a_full_map_without_the_header_is_sent_without_it() {
    let key = extensions(AffinityKey::from_static("ours"));
    for policy in [KEEP, REPLACE] {
        let mut headers = full_map(&[]);
        let layer = SessionAffinityLayer::new().merge_policy(policy);
        assert_eq!(stamp(&layer, &mut headers, &key), Outcome::MapFull);
        assert!(values(&headers).is_empty(), "{policy:?}");
        assert_eq!(headers.keys_len(), FULL, "expected the map to stay full");
    }
}

#[test]
fn the_table_holds_for_a_full_map_that_has_the_header() {
    let key = extensions(AffinityKey::from_static("ours"));
    for row in WITH_A_KEY.iter().filter(|row| !row.before.is_empty()) {
        for (policy, expected) in [(KEEP, row.keep), (REPLACE, row.replace)] {
            let mut headers = full_map(row.before);
            let layer = SessionAffinityLayer::new().merge_policy(policy);
            let outcome = stamp(&layer, &mut headers, &key);
            let ours = expected == Some(b"ours".as_slice());
            assert_eq!(
                outcome == Outcome::Replaced,
                ours,
                "{policy:?} {:?}",
                row.before
            );
            assert_eq!(
                values(&headers),
                Vec::from_iter(expected),
                "{policy:?} {:?}",
                row.before
            );
            assert_eq!(headers.keys_len(), FULL, "expected the map to stay full");
        }
    }
}

#[test]
fn a_value_that_must_not_be_sent_is_removed_from_a_full_map() {
    let layer = SessionAffinityLayer::new().merge_policy(REPLACE);
    let mut headers = full_map(&[b"user", b"abc"]);
    assert_eq!(
        stamp(&layer, &mut headers, &Extensions::new()),
        Outcome::NoKey
    );
    assert!(values(&headers).is_empty());
}

#[test]
fn only_the_configured_header_is_touched() {
    let name = tower_session_affinity::header::X_GROK_CONV_ID;
    let layer = SessionAffinityLayer::new()
        .header_name(name.clone())
        .merge_policy(REPLACE);
    let mut headers = headers(&[], &[b"user"]);
    stamp(
        &layer,
        &mut headers,
        &extensions(AffinityKey::from_static("ours")),
    );
    assert_eq!(headers[name], "ours");
    assert_eq!(values(&headers), [b"user"]);
}

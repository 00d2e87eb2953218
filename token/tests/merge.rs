//! What happens to a header that is already present, row by row.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use proptest::collection::vec;
use proptest::prelude::*;
use refusing::refusing_map;
use support::{TOKEN, answer, client, issue, send, sent, turn, values};
use tower_affinity_token::AffinityTokenLayer;
use tower_session_affinity::{
    AffinityKey, HostPattern, MergePolicy, NoAffinity, SessionAffinityLayer,
};

#[path = "../../tests/support/refusing.rs"]
mod refusing;
mod support;

const A: &str = "https://a.example/chat";
const POLICIES: [MergePolicy; 2] = [MergePolicy::Keep, MergePolicy::Replace];

fn layer(policy: MergePolicy) -> AffinityTokenLayer {
    AffinityTokenLayer::new(TOKEN).merge_policy(policy)
}

/// A turn of `chat-1` that already carries these values.
fn carrying(before: &[&'static str]) -> Request<()> {
    let mut request = turn(A, "chat-1");
    for value in before {
        request
            .headers_mut()
            .append(TOKEN, HeaderValue::from_static(value));
    }
    request
}

/// Sends the request through a layer that remembers `t1`, and returns the values that are sent.
fn sent_values(policy: MergePolicy, request: Request<()>) -> Vec<String> {
    let client = client(&layer(policy));
    issue(&client, A, "chat-1", "t1");
    values(&send(&client, request, answer(200, None)))
}

#[test]
fn keep_sends_only_the_first_non_blank_value() {
    for before in [
        &["own"][..],
        &["own", "other"],
        &["", "own"],
        &[" ", "\t", "own", ""],
    ] {
        assert_eq!(
            sent_values(MergePolicy::Keep, carrying(before)),
            ["own"],
            "{before:?}"
        );
    }
}

#[test]
fn replace_sends_only_the_remembered_token() {
    for before in [&[][..], &["own"], &["own", "other"], &["", "own"]] {
        assert_eq!(
            sent_values(MergePolicy::Replace, carrying(before)),
            ["t1"],
            "{before:?}"
        );
    }
}

#[test]
fn blank_values_count_as_absent() {
    for policy in POLICIES {
        for before in [&[""][..], &[" \t"], &["", " "]] {
            assert_eq!(sent_values(policy, carrying(before)), ["t1"], "{before:?}");
        }
    }
}

#[test]
fn without_a_remembered_token_blank_and_replaced_values_are_removed() {
    let left = |policy, before| {
        values(&send(
            &client(&layer(policy)),
            carrying(before),
            answer(200, None),
        ))
    };
    for policy in POLICIES {
        assert_eq!(left(policy, &["", " "]), [""; 0]);
    }
    assert_eq!(left(MergePolicy::Replace, &["own", "other"]), [""; 0]);
}

#[test]
fn the_response_to_a_callers_own_token_is_ignored() {
    let client = client(&layer(MergePolicy::Keep));
    send(&client, carrying(&["own"]), answer(200, Some("of own")));
    assert_eq!(sent(&client, A, "chat-1"), None);
    issue(&client, A, "chat-1", "t1");
    send(&client, carrying(&["own"]), answer(200, Some("of own")));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn the_response_to_a_blank_or_replaced_token_is_remembered() {
    for (policy, before) in [(MergePolicy::Keep, " "), (MergePolicy::Replace, "own")] {
        let client = client(&layer(policy));
        send(&client, carrying(&[before]), answer(200, Some("t1")));
        assert_eq!(
            sent(&client, A, "chat-1").as_deref(),
            Some("t1"),
            "{policy:?}"
        );
    }
}

#[test]
fn keep_asks_no_source_if_the_caller_has_a_token() {
    let asked = |_: tower_session_affinity::RequestHead<'_>| -> Option<AffinityKey> {
        panic!("a source was asked")
    };
    let client = client(&AffinityTokenLayer::new(TOKEN).or_fn(asked));
    let own = Request::get(A).header(TOKEN, "own").body(()).unwrap();
    assert_eq!(values(&send(&client, own, answer(200, None))), ["own"]);
}

#[test]
fn a_source_sees_the_callers_headers() {
    let own =
        |req: tower_session_affinity::RequestHead<'_>| req.headers().get(TOKEN)?.try_into().ok();
    let client = client(&layer(MergePolicy::Replace).or_fn(own));
    let named = || Request::get(A).header(TOKEN, "chat-9").body(()).unwrap();
    send(&client, named(), answer(200, Some("t9")));
    assert_eq!(values(&send(&client, named(), answer(200, None))), ["t9"]);
}

/// A request with 24,576 header names, the token's included if it carries one.
fn full(before: &[&'static str]) -> Request<()> {
    let mut request = carrying(before);
    let headers = request.headers_mut();
    let mut number = 0;
    while headers.keys_len() < 24_576 {
        let name = HeaderName::try_from(format!("x-{number}")).unwrap();
        headers.insert(name, HeaderValue::from_static("x"));
        number += 1;
    }
    request
}

#[test]
fn the_table_holds_for_a_full_map_except_for_a_new_name() {
    for (policy, before, expected) in [
        (MergePolicy::Keep, &["own", "other"][..], &["own"][..]),
        (MergePolicy::Keep, &[" "], &["t1"]),
        (MergePolicy::Replace, &["own", "other"], &["t1"]),
        (MergePolicy::Keep, &[], &[]),
        (MergePolicy::Replace, &[], &[]),
    ] {
        assert_eq!(
            sent_values(policy, full(before)),
            expected,
            "{policy:?} {before:?}"
        );
    }
}

/// Its names collide, as an attacker's would, so that it refuses an insertion although it has room.
#[test]
fn the_table_holds_for_a_map_that_refuses_an_insertion_once() {
    for (policy, before, expected) in [
        (MergePolicy::Keep, &["own"][..], &["own"][..]),
        (MergePolicy::Keep, &["", "own", "other"], &["own"]),
        (MergePolicy::Replace, &["own", "other"], &["t1"]),
        (MergePolicy::Replace, &[], &["t1"]),
    ] {
        let mut request = turn(A, "chat-1");
        *request.headers_mut() = refusing_map(&TOKEN, before);
        assert_eq!(
            sent_values(policy, request),
            expected,
            "{policy:?} {before:?}"
        );
    }
}

#[test]
fn a_dead_status_does_not_forget_a_token_that_found_no_room() {
    let client = client(&layer(MergePolicy::Keep));
    issue(&client, A, "chat-1", "t1");
    send(&client, full(&[]), answer(503, None));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

/// Header values, among them blank and repeated ones.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b" \t".to_vec()),
        Just(b"own".to_vec()),
        vec(prop_oneof![0x20..=0x7E_u8, 0x80..=0xFF_u8], 0..6),
    ]
}

proptest! {
    /// Both layers follow the same table.
    #[test]
    fn both_layers_send_the_same_headers(
        before in vec(value(), 0..4), others in 0..12_usize, replace: bool, suppressed: bool,
        has_key: bool, listed in proptest::option::of(any::<bool>()), has_authority: bool, connects: bool,
    ) {
        let policy = if replace { MergePolicy::Replace } else { MergePolicy::Keep };
        let hosts = listed.map(|listed| {
            [HostPattern::from_static(if listed { "a.example" } else { "b.example" })]
        });
        let mut request = Request::get(if has_authority { A } else { "/chat" }).body(()).unwrap();
        if connects {
            *request.method_mut() = Method::CONNECT;
        }
        for i in 0..others {
            let name = HeaderName::try_from(format!("x-{i}")).unwrap();
            request.headers_mut().append(name, HeaderValue::from(i));
        }
        for value in &before {
            request.headers_mut().append(TOKEN, HeaderValue::from_bytes(value).unwrap());
        }
        if suppressed {
            request.extensions_mut().insert(NoAffinity);
        }

        // The token here is the key there. Without an authority, no token is remembered.
        let plain = SessionAffinityLayer::new().header_name(TOKEN).merge_policy(policy);
        let mut plain = plain.or((has_key && has_authority).then(|| AffinityKey::from_static("t1")));
        let mut ours = layer(policy).or(has_key.then(|| AffinityKey::from_static("chat-1")));
        issue(&client(&ours), A, "chat-1", "t1");
        if let Some(hosts) = hosts {
            plain = plain.only_hosts(hosts.clone());
            ours = ours.only_hosts(hosts);
        }

        let mut expected: HeaderMap = request.headers().clone();
        plain.stamp(request.method(), request.uri(), &mut expected, request.extensions());
        let left = send(&client(&ours), request, answer(200, None));
        prop_assert_eq!(left, expected);
    }
}

//! Gateways that issue a token only on request.

use http::{HeaderValue, Request};
use support::{TOKEN, answer, client, issue, send, sent, turn, values};
use tower_affinity_token::AffinityTokenLayer;
use tower_session_affinity::MergePolicy;

mod support;

const A: &str = "https://a.example/chat";

fn layer() -> AffinityTokenLayer {
    AffinityTokenLayer::new(TOKEN)
}

fn with_values(mut request: Request<()>, before: &[&'static str]) -> Request<()> {
    for value in before {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append(TOKEN, value);
    }
    request
}

#[test]
fn the_opening_is_sent_until_a_token_is_remembered() {
    let client = client(&layer().opening(HeaderValue::from_static("NEW")));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("NEW"));
    issue(&client, A, "chat-1", "t1");
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn the_opening_replaces_a_callers_blank_header() {
    let opening = HeaderValue::from_static("NEW");
    for policy in [MergePolicy::Keep, MergePolicy::Replace] {
        for before in [&[""][..], &[" \t"], &["", " ", ""]] {
            let client = client(&layer().opening(opening.clone()).merge_policy(policy));
            let blank = || with_values(turn(A, "chat-1"), before);
            let headers = send(&client, blank(), answer(200, Some("t1")));
            assert_eq!(values(&headers), ["NEW"], "{policy:?} {before:?}");
            let headers = send(&client, blank(), answer(200, None));
            assert_eq!(values(&headers), ["t1"], "{policy:?} {before:?}");
        }
    }
}

#[test]
fn the_opening_replaces_a_callers_own_token_only_under_replace() {
    let opening = HeaderValue::from_static("NEW");
    for (policy, expected) in [(MergePolicy::Keep, "own"), (MergePolicy::Replace, "NEW")] {
        let client = client(&layer().opening(opening.clone()).merge_policy(policy));
        let own = with_values(turn(A, "chat-1"), &["", "own", "other"]);
        assert_eq!(values(&send(&client, own, answer(200, None))), [expected]);
    }
}

#[test]
fn the_opening_is_not_sent_instead_of_a_blank_header_if_nothing_could_be_remembered() {
    let client = client(&layer().opening(HeaderValue::from_static("NEW")));
    let keyless = Request::get(A).body(()).unwrap();
    for request in [keyless, turn("/chat", "chat-1")] {
        let headers = send(&client, with_values(request, &[" "]), answer(200, None));
        assert_eq!(values(&headers), [""; 0]);
    }
}

#[test]
fn the_opening_is_not_sent_if_nothing_could_be_remembered() {
    let client = client(&layer().opening(HeaderValue::from_static("NEW")));
    assert_eq!(sent(&client, "/chat", "chat-1"), None);
    let keyless = Request::get(A).body(()).unwrap();
    let headers = send(&client, keyless, answer(200, None));
    assert_eq!(values(&headers), [""; 0]);
}

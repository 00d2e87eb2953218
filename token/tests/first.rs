//! Gateways that expect the first token of a session until the key changes.

use support::{InFlight, answer, client, issue, send, sent, turn};
use tower_affinity_token::{AffinityTokenLayer, MemoryStore, header::X_SESSION_TOKEN};

mod support;

const A: &str = "https://a.example/backend-api/codex/responses";

fn layer() -> AffinityTokenLayer {
    AffinityTokenLayer::new(X_SESSION_TOKEN).first_token_wins()
}

#[test]
fn the_first_token_is_sent_until_the_key_changes() {
    let client = client(&layer());
    for token in ["t1", "t2", "t3"] {
        issue(&client, A, "turn-1", token);
        assert_eq!(sent(&client, A, "turn-1").as_deref(), Some("t1"));
    }
    assert_eq!(sent(&client, A, "turn-2"), None);
    issue(&client, A, "turn-2", "t2");
    assert_eq!(sent(&client, A, "turn-2").as_deref(), Some("t2"));
    assert_eq!(sent(&client, A, "turn-1").as_deref(), Some("t1"));
}

#[test]
fn of_two_first_requests_the_first_response_sets_the_token() {
    let layer = layer();
    let flight = || InFlight::<MemoryStore>::send(&layer, turn(A, "turn-1"));
    let (one, other) = (flight(), flight());
    other.answer(200, Some("t2"));
    one.answer(200, Some("t1"));
    assert_eq!(sent(&client(&layer), A, "turn-1").as_deref(), Some("t2"));
}

#[test]
fn the_token_after_a_dead_first_one_is_remembered() {
    let client = client(&layer());
    issue(&client, A, "turn-1", "t1");
    send(&client, turn(A, "turn-1"), answer(410, None));
    issue(&client, A, "turn-1", "t2");
    assert_eq!(sent(&client, A, "turn-1").as_deref(), Some("t2"));
}

#[test]
fn a_dead_status_with_a_new_token_replaces_the_first_one() {
    let client = client(&layer());
    issue(&client, A, "turn-1", "t1");
    send(&client, turn(A, "turn-1"), answer(503, Some("t2")));
    assert_eq!(sent(&client, A, "turn-1").as_deref(), Some("t2"));
}

#[test]
fn a_response_with_a_later_token_resets_the_count_of_failures() {
    let layer = layer();
    issue(&client(&layer), A, "turn-1", "t1");
    for _ in 0..3 {
        InFlight::send(&layer, turn(A, "turn-1")).fail();
        InFlight::send(&layer, turn(A, "turn-1")).answer(200, Some("t2"));
    }
    assert_eq!(sent(&client(&layer), A, "turn-1").as_deref(), Some("t1"));
    for _ in 0..2 {
        InFlight::send(&layer, turn(A, "turn-1")).answer(502, Some("t2"));
    }
    assert_eq!(sent(&client(&layer), A, "turn-1"), None);
}

//! When a token is forgotten.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use support::{Gateway, InFlight, TOKEN, answer, client, issue, send, sent, turn};
use tower_affinity_token::{AffinityToken, AffinityTokenLayer, MemoryStore, TokenStore};
use tower_layer::Layer;
use tower_service::Service;
use tower_session_affinity::AffinityKey;
use tower_test::mock;

mod support;

const A: &str = "https://a.example/chat";

fn layer() -> AffinityTokenLayer {
    AffinityTokenLayer::new(TOKEN)
}

/// A turn of `chat-1` in flight.
fn in_flight(layer: &AffinityTokenLayer) -> InFlight<MemoryStore> {
    InFlight::send(layer, turn(A, "chat-1"))
}

/// A client that remembers `t1` for `chat-1`.
fn remembering() -> AffinityToken<Gateway> {
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    client
}

#[test]
fn by_default_only_404_410_and_503_forget_the_token() {
    for status in 100..1000 {
        let client = remembering();
        send(&client, turn(A, "chat-1"), answer(status, None));
        let then = sent(&client, A, "chat-1");
        assert_eq!(
            then.is_none(),
            [404, 410, 503].contains(&status),
            "{status}"
        );
    }
}

#[test]
fn a_store_behind_a_trait_object_remembers_and_forgets() {
    let store: Arc<dyn TokenStore + Send + Sync> = Arc::new(MemoryStore::new());
    let client = client(&layer().store(store));
    issue(&client, A, "chat-1", "t1");
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
    send(&client, turn(A, "chat-1"), answer(410, None));
    assert_eq!(sent(&client, A, "chat-1"), None);
}

#[test]
fn the_statuses_that_forget_can_be_set() {
    let client = client(&layer().forget_on(|status| status == StatusCode::BAD_REQUEST));
    issue(&client, A, "chat-1", "t1");
    send(&client, turn(A, "chat-1"), answer(503, None));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
    send(&client, turn(A, "chat-1"), answer(400, None));
    assert_eq!(sent(&client, A, "chat-1"), None);
}

#[test]
fn a_dead_token_is_forgotten_in_its_session_only() {
    let client = remembering();
    issue(&client, A, "chat-2", "t1");
    issue(&client, "http://b.example/", "chat-1", "t1");
    send(&client, turn(A, "chat-1"), answer(410, None));
    assert_eq!(sent(&client, A, "chat-2").as_deref(), Some("t1"));
    assert_eq!(
        sent(&client, "http://b.example/", "chat-1").as_deref(),
        Some("t1")
    );
}

#[test]
fn a_dead_status_with_a_new_token_replaces_the_dead_one() {
    let client = remembering();
    send(&client, turn(A, "chat-1"), answer(503, Some("t2")));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t2"));
}

#[test]
fn a_dead_status_with_the_same_token_forgets_it() {
    let client = remembering();
    send(&client, turn(A, "chat-1"), answer(503, Some("t1")));
    assert_eq!(sent(&client, A, "chat-1"), None);
}

#[test]
fn of_two_concurrent_first_requests_the_later_response_wins() {
    let layer = layer();
    let (one, other) = (in_flight(&layer), in_flight(&layer));
    assert_eq!((one.sent_with.len(), other.sent_with.len()), (0, 0));
    other.answer(200, Some("t2"));
    one.answer(200, Some("t1"));
    assert_eq!(sent(&client(&layer), A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_dead_status_spares_a_token_that_is_newer_than_its_request() {
    let layer = layer();
    issue(&client(&layer), A, "chat-1", "t1");
    let (slow, quick) = (in_flight(&layer), in_flight(&layer));
    assert_eq!(slow.sent_with, ["t1"]);
    quick.answer(200, Some("t2"));
    slow.answer(503, None);
    assert_eq!(sent(&client(&layer), A, "chat-1").as_deref(), Some("t2"));
}

#[test]
fn a_dead_status_forgets_nothing_if_the_request_had_no_token() {
    let layer = layer();
    let (slow, quick) = (in_flight(&layer), in_flight(&layer));
    quick.answer(200, Some("t1"));
    slow.answer(503, None);
    assert_eq!(sent(&client(&layer), A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_dead_status_for_the_callers_own_token_forgets_nothing() {
    let client = remembering();
    let mut own = turn(A, "chat-1");
    own.headers_mut().insert(TOKEN, "t1".parse().unwrap());
    send(&client, own, answer(503, None));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_late_response_that_repeats_a_forgotten_token_does_not_revive_it() {
    let layer = layer();
    issue(&client(&layer), A, "chat-1", "t1");
    let (quick, slow) = (in_flight(&layer), in_flight(&layer));
    quick.answer(503, None);
    slow.answer(200, Some("t1"));
    assert_eq!(sent(&client(&layer), A, "chat-1"), None);
}

#[test]
fn a_late_response_that_issues_a_forgotten_token_does_not_revive_it() {
    let layer = layer();
    // Sent before there is a token. A gateway whose tokens name replicas issues the same one again.
    let slow = in_flight(&layer);
    issue(&client(&layer), A, "chat-1", "t1");
    send(&client(&layer), turn(A, "chat-1"), answer(503, None));
    slow.answer(200, Some("t1"));
    assert_eq!(sent(&client(&layer), A, "chat-1"), None);
}

#[test]
fn a_late_response_to_a_different_token_does_not_revive_a_forgotten_one() {
    let layer = layer();
    issue(&client(&layer), A, "chat-1", "t1");
    let slow = in_flight(&layer);
    issue(&client(&layer), A, "chat-1", "t2");
    send(&client(&layer), turn(A, "chat-1"), answer(410, None));
    slow.answer(200, Some("t2"));
    assert_eq!(sent(&client(&layer), A, "chat-1"), None);
}

#[test]
fn a_late_response_that_repeats_an_old_token_does_not_replace_a_newer_one() {
    let layer = layer();
    issue(&client(&layer), A, "chat-1", "t1");
    let (quick, slow) = (in_flight(&layer), in_flight(&layer));
    quick.answer(200, Some("t2"));
    slow.answer(200, Some("t1"));
    assert_eq!(sent(&client(&layer), A, "chat-1").as_deref(), Some("t2"));
}

#[test]
fn a_late_response_with_a_token_that_was_never_forgotten_is_remembered() {
    let layer = layer();
    issue(&client(&layer), A, "chat-1", "t1");
    let (quick, slow) = (in_flight(&layer), in_flight(&layer));
    quick.answer(503, None);
    slow.answer(200, Some("t2"));
    assert_eq!(sent(&client(&layer), A, "chat-1").as_deref(), Some("t2"));
}

#[test]
fn a_forgotten_token_is_remembered_again_if_a_later_request_gets_it() {
    let client = remembering();
    send(&client, turn(A, "chat-1"), answer(503, None));
    issue(&client, A, "chat-1", "t1");
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_token_that_one_session_forgets_can_be_issued_to_another_session() {
    let layer = layer();
    issue(&client(&layer), A, "chat-1", "t1");
    let other = InFlight::send(&layer, turn(A, "chat-2"));
    send(&client(&layer), turn(A, "chat-1"), answer(503, None));
    other.answer(200, Some("t1"));
    assert_eq!(sent(&client(&layer), A, "chat-2").as_deref(), Some("t1"));
}

#[test]
fn services_of_a_layer_share_what_they_have_forgotten() {
    let layer = layer();
    let slow = InFlight::send(&layer.clone(), turn(A, "chat-1"));
    issue(&client(&layer), A, "chat-1", "t1");
    send(&client(&layer), turn(A, "chat-1"), answer(503, None));
    slow.answer(200, Some("t1"));
    assert_eq!(sent(&client(&layer), A, "chat-1"), None);
}

#[test]
fn readiness_is_that_of_the_inner_service() {
    let (inner, mut gateway) = mock::pair::<Request<()>, Response<()>>();
    gateway.allow(0);
    let mut service =
        tokio_test::task::spawn(layer().or(AffinityKey::from_static("k")).layer(inner));
    assert!(
        service
            .enter(|cx, mut service| service.poll_ready(cx))
            .is_pending()
    );
    gateway.allow(1);
    assert!(service.is_woken());
    assert!(
        service
            .enter(|cx, mut service| service.poll_ready(cx))
            .is_ready()
    );
}

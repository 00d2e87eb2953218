//! Which failures make a session forget its token.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use http::{HeaderName, Request, StatusCode};
use support::{InFlight, TOKEN, answer, client, issue, send, sent, turn};
use tower::{Layer as _, Service, service_fn};
use tower_affinity_token::{
    AffinityTokenLayer, Ending, MemoryStore, Session, Token, TokenStore, attributes,
};
use tower_session_affinity::{AffinityKey, FromExtension};

mod support;

const A: &str = "https://a.example/chat";

type Layer = AffinityTokenLayer<FromExtension, MemoryStore>;

/// A request of `chat-1`, polled once.
fn in_flight(layer: &Layer) -> InFlight<MemoryStore> {
    InFlight::send(layer, turn(A, "chat-1"))
}

/// Ends a request of `chat-1` in some way.
type End = fn(&Layer);

const FAILURES: [(&str, End); 4] = [
    ("an error", |layer| in_flight(layer).fail()),
    ("502", |layer| in_flight(layer).answer(502, None)),
    ("504", |layer| in_flight(layer).answer(504, Some("t1"))),
    ("a dropped future", |layer| drop(in_flight(layer))),
];

fn remembering(layer: Layer) -> Layer {
    issue(&client(&layer), A, "chat-1", "t1");
    layer
}

fn layer() -> Layer {
    remembering(AffinityTokenLayer::new(TOKEN))
}

/// Asks without an effect on the count of failures.
fn is_remembered(layer: &Layer) -> bool {
    !InFlight::call(layer, turn(A, "chat-1"))
        .sent_with
        .is_empty()
}

#[test]
fn two_consecutive_failures_forget_the_token() {
    for (first, one) in FAILURES {
        for (second, other) in FAILURES {
            let layer = layer();
            one(&layer);
            assert!(is_remembered(&layer), "forgotten after {first}");
            other(&layer);
            assert!(
                !is_remembered(&layer),
                "remembered after {first} and {second}"
            );
        }
    }
}

#[test]
fn one_failure_between_responses_forgets_nothing() {
    for (failure, fail) in FAILURES {
        for status in [200, 301, 400, 429, 500, 501, 599] {
            let layer = layer();
            for _ in 0..3 {
                fail(&layer);
                in_flight(&layer).answer(status, None);
            }
            assert!(
                is_remembered(&layer),
                "forgotten after {failure} and {status} in turn"
            );
        }
    }
}

#[test]
fn a_response_that_repeats_the_token_resets_the_count() {
    let layer = layer();
    for _ in 0..3 {
        in_flight(&layer).fail();
        in_flight(&layer).answer(200, Some("t1"));
    }
    assert!(is_remembered(&layer));
}

#[test]
fn failures_are_counted_in_the_order_in_which_requests_end() {
    let layer = layer();
    let (slow, failing) = (in_flight(&layer), in_flight(&layer));
    failing.fail();
    slow.answer(200, None);
    in_flight(&layer).fail();
    assert!(
        is_remembered(&layer),
        "forgotten though a response came in between"
    );
    let (one, other) = (in_flight(&layer), in_flight(&layer));
    one.answer(200, None);
    drop(other);
    in_flight(&layer).fail();
    assert!(
        !is_remembered(&layer),
        "remembered though no response came in between"
    );
}

#[test]
fn a_future_that_was_never_polled_is_not_a_failure() {
    let layer = layer();
    for _ in 0..5 {
        drop(InFlight::call(&layer, turn(A, "chat-1")));
    }
    assert!(is_remembered(&layer));
}

#[test]
fn a_future_that_is_dropped_after_its_response_is_not_a_failure() {
    let layer = layer();
    for _ in 0..5 {
        send(&client(&layer), turn(A, "chat-1"), answer(200, None));
    }
    assert!(is_remembered(&layer));
}

#[test]
fn failures_of_other_sessions_do_not_count() {
    let layer = layer();
    issue(&client(&layer), A, "chat-2", "t1");
    issue(&client(&layer), "http://a.example/", "chat-1", "t1");
    InFlight::send(&layer, turn(A, "chat-2")).fail();
    InFlight::send(&layer, turn("http://a.example/", "chat-1")).fail();
    in_flight(&layer).fail();
    assert!(is_remembered(&layer));
}

#[test]
fn failures_of_requests_without_the_remembered_token_do_not_count() {
    let layer = AffinityTokenLayer::new(TOKEN);
    let early = [in_flight(&layer), in_flight(&layer)];
    let layer = remembering(layer);
    for request in early {
        request.fail();
    }
    for _ in 0..2 {
        let mut own = turn(A, "chat-1");
        own.headers_mut().insert(TOKEN, "t1".parse().unwrap());
        InFlight::send(&layer, own).fail();
    }
    in_flight(&layer).fail();
    assert!(is_remembered(&layer));
}

#[test]
fn failures_of_an_older_token_do_not_count_for_a_newer_one() {
    let layer = layer();
    let old = [in_flight(&layer), in_flight(&layer)];
    issue(&client(&layer), A, "chat-1", "t2");
    for request in old {
        request.fail();
    }
    in_flight(&layer).fail();
    assert!(is_remembered(&layer));
    in_flight(&layer).fail();
    assert!(!is_remembered(&layer));
}

#[test]
fn failures_before_a_token_was_issued_again_do_not_count() {
    let layer = layer();
    in_flight(&layer).fail();
    issue(&client(&layer), A, "chat-1", "t2");
    issue(&client(&layer), A, "chat-1", "t1");
    in_flight(&layer).fail();
    assert!(is_remembered(&layer));
}

#[test]
fn a_failure_status_with_a_new_token_is_not_a_failure() {
    let layer = layer();
    for token in ["t2", "t3", "t4"] {
        in_flight(&layer).answer(502, Some(token));
        assert_eq!(sent(&client(&layer), A, "chat-1").as_deref(), Some(token));
    }
}

#[test]
fn a_late_response_does_not_revive_a_token_that_was_forgotten_for_failures() {
    let layer = layer();
    let slow = in_flight(&layer);
    in_flight(&layer).fail();
    in_flight(&layer).fail();
    slow.answer(200, Some("t1"));
    assert!(!is_remembered(&layer));
}

#[test]
fn services_and_clones_of_a_layer_share_their_counts() {
    let layer = layer();
    in_flight(&layer.clone()).fail();
    in_flight(&layer).fail();
    assert!(!is_remembered(&layer));
}

#[test]
fn the_number_of_failures_can_be_set_and_zero_means_one() {
    for (limit, expected) in [(0, 1), (1, 1), (2, 2), (3, 3), (10, 10)] {
        let layer = AffinityTokenLayer::new(TOKEN).forget_after(limit, Ending::is_failure);
        let layer = remembering(layer);
        let mut failures = 0;
        while is_remembered(&layer) && failures <= expected {
            in_flight(&layer).fail();
            failures += 1;
        }
        assert_eq!(failures, expected);
    }
}

#[test]
fn what_counts_as_a_failure_can_be_set() {
    let layer = AffinityTokenLayer::new(TOKEN).forget_after(1, |ending| {
        ending == Ending::Answered(StatusCode::TOO_MANY_REQUESTS)
    });
    let layer = remembering(layer);
    for (failure, fail) in FAILURES {
        fail(&layer);
        assert!(is_remembered(&layer), "forgotten after {failure}");
    }
    in_flight(&layer).answer(429, None);
    assert!(!is_remembered(&layer));
}

#[test]
fn an_ending_that_is_neither_a_failure_nor_a_response_leaves_the_count() {
    let layer = AffinityTokenLayer::new(TOKEN)
        .forget_after(2, |ending| ending.is_failure() && ending != Ending::Dropped);
    let layer = remembering(layer);
    in_flight(&layer).fail();
    drop(in_flight(&layer));
    assert!(
        is_remembered(&layer),
        "a caller that hung up counted as a failure"
    );
    in_flight(&layer).fail();
    assert!(
        !is_remembered(&layer),
        "a caller that hung up reset the count"
    );
}

#[test]
fn by_default_errors_dropped_futures_502_and_504_are_failures() {
    assert!(Ending::Error.is_failure() && Ending::Dropped.is_failure());
    for status in 100..1000 {
        let ending = Ending::Answered(StatusCode::from_u16(status).unwrap());
        assert_eq!(
            ending.is_failure(),
            [502, 504].contains(&status),
            "{status}"
        );
    }
}

/// A custom store, which knows nothing about failures.
#[derive(Default)]
struct PlainMap(Mutex<HashMap<Session, Token>>);

impl TokenStore for PlainMap {
    fn get(&self, session: &Session) -> Option<Token> {
        self.0.lock().unwrap().get(session).cloned()
    }

    fn put(&self, session: &Session, token: Token) {
        self.0.lock().unwrap().insert(session.clone(), token);
    }

    fn forget(&self, session: &Session, token: &Token) {
        let mut map = self.0.lock().unwrap();
        if map.get(session) == Some(token) {
            map.remove(session);
        }
    }
}

#[test]
fn failures_are_counted_with_a_custom_store_too() {
    let layer = AffinityTokenLayer::with_store(TOKEN, Arc::new(PlainMap::default()));
    issue(&client(&layer), A, "chat-1", "t1");
    for expected in [Some("t1"), Some("t1"), None] {
        let request = InFlight::send(&layer, turn(A, "chat-1"));
        assert_eq!(request.sent_with.first().map(String::as_str), expected);
        request.fail();
    }
}

#[test]
fn put_first_of_a_custom_store_keeps_the_first_token_by_default() {
    let store = PlainMap::default();
    let session = Session::new(
        &HeaderName::from_static("x-t"),
        &A.parse().unwrap(),
        &"k".parse().unwrap(),
    );
    let (session, token) = (session.unwrap(), |text: &str| {
        Token::try_from(attributes::token(text.as_bytes())).unwrap()
    });
    assert!(store.put_first(&session, token("t1")));
    assert!(!store.put_first(&session, token("t2")));
    assert_eq!(store.get(&session), Some(token("t1")));
}

#[test]
fn a_hundred_thousand_sessions_that_fail_at_once_all_start_over() {
    let store = MemoryStore::new();
    let layer = AffinityTokenLayer::new(TOKEN).store(store.clone());
    let answer_all = |status, token| {
        let answer = answer(status, token);
        let mut service = layer.layer(service_fn(|_: Request<()>| {
            ready(Ok::<_, Infallible>(answer.clone()))
        }));
        for number in 0..100_000 {
            let mut request = turn(A, "chat-1");
            let key: AffinityKey = number.to_string().try_into().unwrap();
            request.extensions_mut().insert(key);
            let mut future = service.call(request);
            let mut context = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut future).poll(&mut context).is_ready());
        }
    };
    answer_all(200, Some("t1"));
    answer_all(502, None);
    assert_eq!(store.len(), 100_000);
    answer_all(502, None);
    assert_eq!(store.len(), 0);
}

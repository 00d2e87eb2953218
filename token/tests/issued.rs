//! What is read from a response, and how it is passed on.

use std::convert::Infallible;
use std::future::{pending, ready};

use http::{HeaderName, HeaderValue, Request, Response};
use support::{TOKEN, answer, client, issue, send, sent, turn};
use tower::{Service, ServiceExt, service_fn};
use tower_affinity_token::{AffinityTokenLayer, MemoryStore, attributes};
use tower_layer::Layer;

mod support;

const A: &str = "https://a.example/chat";

fn layer() -> AffinityTokenLayer {
    AffinityTokenLayer::new(TOKEN)
}

#[test]
fn a_response_without_a_token_keeps_the_remembered_one() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn the_latest_token_wins_whatever_the_status() {
    let client = client(&layer());
    for (status, token) in [(200, "t1"), (200, "t2"), (500, "t3"), (503, "t4")] {
        send(&client, turn(A, "chat-1"), answer(status, Some(token)));
        assert_eq!(sent(&client, A, "chat-1").as_deref(), Some(token));
    }
}

#[test]
fn the_response_header_can_have_a_different_name() {
    let issued = HeaderName::from_static("x-issued");
    let client = client(&layer().response_header(issued.clone()));
    let mut other = answer(200, Some("not this"));
    other
        .headers_mut()
        .insert(issued, HeaderValue::from_static("t1"));
    send(&client, turn(A, "chat-1"), other);
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn only_the_chosen_part_of_the_response_header_is_the_token() {
    let client = client(&layer().token_part(|value| &value[..value.len().min(2)]));
    issue(&client, A, "chat-1", "t1; Expires=never");
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_value_that_is_not_a_valid_token_is_ignored() {
    let too_long = "t".repeat(4097);
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    for ignored in ["", " ", "\t", &too_long] {
        issue(&client, A, "chat-1", ignored);
        assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
    }
}

#[test]
fn a_token_can_have_4096_bytes_and_bytes_outside_ascii() {
    let client = client(&layer());
    for token in ["t".repeat(4096), "ü, \t\"".to_owned()] {
        issue(&client, A, "chat-1", &token);
        assert_eq!(sent(&client, A, "chat-1"), Some(token));
    }
}

#[test]
fn the_limit_of_4096_bytes_applies_to_the_token_part() {
    let client = client(&layer().token_part(attributes::token));
    let rest = "x".repeat(5000);
    issue(&client, A, "chat-1", &format!("t1; {rest}"));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
    let longest = "t".repeat(4096);
    issue(&client, A, "chat-1", &format!("{longest}; {rest}"));
    assert_eq!(sent(&client, A, "chat-1"), Some(longest.clone()));
    issue(&client, A, "chat-1", &format!("{longest}t; x"));
    assert_eq!(sent(&client, A, "chat-1"), Some(longest));
}

#[test]
fn a_blank_token_part_is_ignored_even_if_the_value_is_not_blank() {
    let client = client(&layer().token_part(attributes::token));
    issue(&client, A, "chat-1", "t1");
    issue(&client, A, "chat-1", " ; Expires=never");
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn the_first_valid_value_counts() {
    let client = client(&layer());
    let mut several = answer(200, Some(" "));
    for value in ["t1", "t2"] {
        several
            .headers_mut()
            .append(TOKEN, HeaderValue::from_static(value));
    }
    send(&client, turn(A, "chat-1"), several);
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn an_error_of_the_inner_service_is_passed_on_and_one_forgets_nothing() {
    let layer = layer();
    issue(&client(&layer), A, "chat-1", "t1");
    let broken = layer.layer(service_fn(async |_: Request<()>| {
        Err::<Response<()>, _>("broken")
    }));
    let result = tokio_test::block_on(broken.oneshot(turn(A, "chat-1")));
    assert_eq!(result.unwrap_err(), "broken");
    assert_eq!(sent(&client(&layer), A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_dropped_future_remembers_nothing() {
    let store = MemoryStore::new();
    let layer = layer().store(store.clone());
    let answer = || answer(200, Some("t1"));
    let mut answering = layer.layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(answer()))
    }));
    drop(answering.call(turn(A, "chat-1")));
    assert!(
        store.is_empty(),
        "a future that was never polled remembered its token"
    );

    let mut hanging = layer.layer(service_fn(|_: Request<()>| {
        pending::<Result<Response<()>, Infallible>>()
    }));
    let mut future = tokio_test::task::spawn(hanging.call(turn(A, "chat-1")));
    assert!(future.poll().is_pending());
    drop(future);
    assert!(
        store.is_empty(),
        "a future without a response remembered a token"
    );
}

#[test]
fn the_response_is_passed_on_unchanged() {
    let inner = service_fn(async |_: Request<()>| {
        Response::builder()
            .status(299)
            .header(TOKEN, "t1")
            .body("body")
    });
    let response = tokio_test::block_on(layer().layer(inner).oneshot(turn(A, "chat-1"))).unwrap();
    assert_eq!(response.status(), 299);
    assert_eq!(response.headers()[TOKEN], "t1");
    assert_eq!(response.into_body(), "body");
}

//! Which token goes to whom.

use std::convert::Infallible;
use std::future::{pending, ready};

use http::{HeaderName, HeaderValue, Request, Response};
use support::{TOKEN, answer, client, issue, send, sent, turn, values};
use tower::{Service, ServiceExt, service_fn};
use tower_affinity_token::{AffinityTokenLayer, MemoryStore, Session, TokenStore};
use tower_layer::Layer;
use tower_session_affinity::{AffinityKey, HostPattern, NoAffinity};

mod support;

const A: &str = "https://a.example/chat";
const B: &str = "https://b.example/chat";

fn layer() -> AffinityTokenLayer {
    AffinityTokenLayer::new(TOKEN)
}

#[test]
fn the_first_request_of_a_session_has_no_token_and_the_next_has_the_one_that_was_issued() {
    let client = client(&layer());
    let first = send(&client, turn(A, "chat-1"), answer(200, Some("t1")));
    assert_eq!(values(&first), [""; 0]);
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn an_answer_without_a_token_leaves_the_remembered_one() {
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
fn a_token_stays_with_its_session() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    assert_eq!(sent(&client, A, "chat-2"), None);
    issue(&client, A, "chat-2", "t2");
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_token_stays_at_its_authority() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    for other in [
        B,
        "http://a.example/",
        "https://a.example:8443/",
        "https://a.example.b.example/",
        "https://example/",
        "https://a.example@b.example/",
    ] {
        assert_eq!(sent(&client, other, "chat-1"), None, "{other}");
    }
}

#[test]
fn case_default_port_trailing_dot_and_user_do_not_make_another_authority() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    for same in [
        "https://A.EXAMPLE/",
        "https://a.example./",
        "https://a.example:443/",
        "https://A.example.:443/other?q",
        "https://user:password@a.example/",
        "wss://a.example/",
    ] {
        assert_eq!(
            sent(&client, same, "chat-1").as_deref(),
            Some("t1"),
            "{same}"
        );
    }
}

#[test]
fn without_an_authority_nothing_is_remembered_or_sent() {
    let client = client(&layer());
    for uri in ["/chat", "*"] {
        issue(&client, uri, "chat-1", "t1");
        assert_eq!(sent(&client, uri, "chat-1"), None, "{uri}");
    }
}

#[test]
fn the_host_header_is_no_authority() {
    let client = client(&layer());
    let with_host = || {
        let mut request = turn("/chat", "chat-1");
        let host = HeaderValue::from_static("a.example");
        request.headers_mut().insert("host", host);
        request
    };
    send(&client, with_host(), answer(200, Some("t1")));
    let headers = send(&client, with_host(), answer(200, None));
    assert_eq!(values(&headers), [""; 0]);
}

#[test]
fn without_a_key_nothing_is_remembered_or_sent() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    let keyless = || Request::get(A).body(()).unwrap();
    let headers = send(&client, keyless(), answer(200, Some("t2")));
    assert_eq!(values(&headers), [""; 0]);
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_request_that_is_marked_goes_without_and_its_answer_teaches_nothing() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    let mut marked = turn(A, "chat-1");
    marked.extensions_mut().insert(NoAffinity);
    let headers = send(&client, marked, answer(503, Some("t2")));
    assert_eq!(values(&headers), [""; 0]);
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_host_that_is_not_listed_gets_nothing_and_its_answer_teaches_nothing() {
    let store = MemoryStore::new();
    let layer = layer().store(store.clone());
    let listed = client(&layer.only_hosts([HostPattern::from_static("a.example")]));
    issue(&listed, A, "chat-1", "t1");
    issue(&listed, B, "chat-1", "t2");
    assert_eq!(sent(&listed, A, "chat-1").as_deref(), Some("t1"));
    assert_eq!(sent(&listed, B, "chat-1"), None);
    assert_eq!(store.len(), 1);
}

#[test]
fn fallbacks_name_the_session_in_their_order() {
    let layer = layer()
        .or_fn(|req| req.headers().get("x-user-id")?.try_into().ok())
        .or(AffinityKey::from_static("all"));
    let client = client(&layer);
    let of_user = |user| {
        let request = Request::get(A).header("x-user-id", user);
        request.body(()).unwrap()
    };
    send(&client, of_user("u-1"), answer(200, Some("t1")));
    let anonymous = || Request::get(A).body(()).unwrap();
    send(&client, anonymous(), answer(200, Some("t2")));
    let headers = send(&client, of_user("u-1"), answer(200, None));
    assert_eq!(values(&headers), ["t1"]);
    let headers = send(&client, anonymous(), answer(200, None));
    assert_eq!(values(&headers), ["t2"]);
}

#[test]
fn the_key_never_leaves() {
    let client = client(&layer().opening(HeaderValue::from_static("new")));
    for (uri, token) in [(A, Some("t1")), (A, None), ("/chat", None)] {
        let headers = send(&client, turn(uri, "secret-chat"), answer(200, token));
        for value in headers.values() {
            assert_ne!(value, "secret-chat");
        }
    }
}

#[test]
fn the_response_header_may_have_another_name() {
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
fn the_opening_is_sent_until_a_token_is_remembered() {
    let client = client(&layer().opening(HeaderValue::from_static("NEW")));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("NEW"));
    issue(&client, A, "chat-1", "t1");
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn the_opening_is_not_sent_where_nothing_could_be_remembered() {
    let client = client(&layer().opening(HeaderValue::from_static("NEW")));
    assert_eq!(sent(&client, "/chat", "chat-1"), None);
    let keyless = Request::get(A).body(()).unwrap();
    let headers = send(&client, keyless, answer(200, None));
    assert_eq!(values(&headers), [""; 0]);
}

#[test]
fn a_value_that_is_no_token_is_ignored() {
    let too_long = "t".repeat(4097);
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    for ignored in ["", " ", "\t", &too_long] {
        issue(&client, A, "chat-1", ignored);
        assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
    }
}

#[test]
fn a_token_may_have_4096_bytes_and_bytes_outside_of_ascii() {
    let client = client(&layer());
    for token in ["t".repeat(4096), "ü, \t\"".to_owned()] {
        issue(&client, A, "chat-1", &token);
        assert_eq!(sent(&client, A, "chat-1"), Some(token));
    }
}

#[test]
fn the_first_value_that_is_a_token_counts() {
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
fn a_token_leaves_as_a_sensitive_value() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    let headers = send(&client, turn(A, "chat-1"), answer(200, None));
    assert!(headers[TOKEN].is_sensitive());
}

#[test]
fn no_debug_output_has_a_key_or_a_token() {
    let store = MemoryStore::new();
    let layer = layer().store(store.clone());
    let client = client(&layer);
    issue(&client, A, "chat-1", "t1");
    let session = Session::new(&A.parse().unwrap(), &AffinityKey::from_static("chat-1")).unwrap();
    let token = store.get(&session).unwrap();
    let mut answering = layer.layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(Response::new(())))
    }));
    let future = answering.call(turn(A, "chat-1"));
    for shown in [
        format!("{layer:?}"),
        format!("{client:?}"),
        format!("{store:?}"),
        format!("{session:?}"),
        format!("{token:?}"),
        format!("{future:?}"),
    ] {
        assert!(
            !shown.contains("chat-1") && !shown.contains("t1"),
            "{shown}"
        );
    }
}

#[test]
fn services_of_one_layer_and_their_clones_share_what_they_remember() {
    let layer = layer();
    let (one, other) = (client(&layer), client(&layer.clone()));
    issue(&one, A, "chat-1", "t1");
    assert_eq!(sent(&other.clone(), A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn an_error_of_the_inner_service_is_handed_on_and_teaches_nothing() {
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
fn a_future_that_is_dropped_remembers_nothing() {
    let store = MemoryStore::new();
    let layer = layer().store(store.clone());
    let answer = || answer(200, Some("t1"));
    let mut answering = layer.layer(service_fn(|_: Request<()>| {
        ready(Ok::<_, Infallible>(answer()))
    }));
    drop(answering.call(turn(A, "chat-1")));
    assert!(
        store.is_empty(),
        "never polled, though the answer was there"
    );

    let mut hanging = layer.layer(service_fn(|_: Request<()>| {
        pending::<Result<Response<()>, Infallible>>()
    }));
    let mut future = tokio_test::task::spawn(hanging.call(turn(A, "chat-1")));
    assert!(future.poll().is_pending());
    drop(future);
    assert!(store.is_empty(), "polled while there was no answer");
}

#[test]
fn the_answer_is_handed_on_as_it_is() {
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

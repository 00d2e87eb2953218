//! Which token is sent with which request.

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request, Response};
use support::{TOKEN, answer, client, issue, send, sent, turn, values};
use tower::{Service, service_fn};
use tower_affinity_token::{AffinityToken, AffinityTokenLayer, MemoryStore, Session, TokenStore};
use tower_layer::Layer;
use tower_session_affinity::{AffinityKey, HostPattern, NoAffinity};

mod support;

const A: &str = "https://a.example/chat";
const B: &str = "https://b.example/chat";

fn layer() -> AffinityTokenLayer {
    AffinityTokenLayer::new(TOKEN)
}

#[test]
fn the_second_request_of_a_session_carries_the_token_issued_to_the_first() {
    let client = client(&layer());
    let first = send(&client, turn(A, "chat-1"), answer(200, Some("t1")));
    assert_eq!(values(&first), [""; 0]);
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_token_is_sent_only_for_its_session() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    assert_eq!(sent(&client, A, "chat-2"), None);
    issue(&client, A, "chat-2", "t2");
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_token_is_sent_only_to_its_origin() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    for other in [
        B,
        "http://a.example/",
        "http://a.example:443/",
        "ws://a.example:443/",
        "a.example:443",
        "https://a.example:80/",
        "https://a.example:8443/",
        "https://a.example.b.example/",
        "https://example/",
        "https://a.example@b.example/",
    ] {
        assert_eq!(sent(&client, other, "chat-1"), None, "{other}");
    }
}

#[test]
fn a_token_issued_over_tls_is_not_sent_without_tls() {
    for (secure, plain) in [
        ("https://api.example:8443/", "http://api.example:8443/"),
        ("https://b.example/", "http://b.example:443/"),
        ("https://b.example:80/", "http://b.example/"),
        ("wss://b.example:9/", "ws://b.example:9/"),
        ("https://b.example:443/", "b.example:443"),
    ] {
        let client = client(&layer());
        issue(&client, secure, "chat-1", "t1");
        assert_eq!(sent(&client, plain, "chat-1"), None, "{plain}");
        issue(&client, plain, "chat-1", "t2");
        assert_eq!(sent(&client, secure, "chat-1").as_deref(), Some("t1"));
    }
}

#[test]
fn one_store_behind_two_header_names_does_not_mix_their_tokens() {
    let store = MemoryStore::new();
    let other = HeaderName::from_static("x-other-token");
    let (ours, theirs) = (
        client(&layer().store(store.clone())),
        client(&AffinityTokenLayer::new(other.clone()).store(store.clone())),
    );
    issue(&ours, A, "chat-1", "t1");
    let headers = send(&theirs, turn(A, "chat-1"), answer(200, None));
    assert_eq!(headers.get(&other), None);
    assert_eq!(sent(&ours, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn one_store_behind_two_layers_of_one_name_is_one_memory() {
    let store = MemoryStore::new();
    let (one, other) = (
        client(&layer().store(store.clone())),
        client(&AffinityTokenLayer::with_store(TOKEN, store)),
    );
    issue(&one, A, "chat-1", "t1");
    assert_eq!(sent(&other, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn case_default_port_trailing_dot_and_user_do_not_make_another_origin() {
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
fn the_host_header_is_not_an_authority() {
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
fn a_request_with_no_affinity_gets_no_token_and_its_response_is_ignored() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "t1");
    let mut marked = turn(A, "chat-1");
    marked.extensions_mut().insert(NoAffinity);
    let headers = send(&client, marked, answer(503, Some("t2")));
    assert_eq!(values(&headers), [""; 0]);
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t1"));
}

#[test]
fn a_connect_gets_the_token_for_a_websocket_but_not_for_a_tunnel() {
    let connect = |uri| {
        let mut request = turn(uri, "chat-1");
        *request.method_mut() = Method::CONNECT;
        request
    };
    let client = client(&layer());
    issue(&client, "a.example:443", "chat-1", "of no scheme");
    issue(&client, A, "chat-1", "t1");
    let mut tunnel = connect("a.example:443");
    tunnel.headers_mut().insert(TOKEN, "own".parse().unwrap());
    for request in [tunnel, connect("a.example:443")] {
        let headers = send(&client, request, answer(200, Some("t2")));
        assert_eq!(values(&headers), [""; 0]);
    }
    let websocket = send(&client, connect("wss://a.example/chat"), answer(200, None));
    assert_eq!(values(&websocket), ["t1"]);
}

#[test]
fn an_unlisted_host_gets_no_token_and_its_response_is_ignored() {
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
fn an_empty_list_allows_no_host_and_a_second_list_replaces_the_first() {
    let pattern = HostPattern::from_static;
    for (layer, expected) in [
        (layer().only_hosts([]), [None, None]),
        (
            layer()
                .only_hosts([pattern("a.example")])
                .only_hosts([pattern("b.example")]),
            [None, Some("t1")],
        ),
    ] {
        let client = client(&layer);
        for (uri, expected) in [A, B].into_iter().zip(expected) {
            issue(&client, uri, "chat-1", "t1");
            assert_eq!(sent(&client, uri, "chat-1").as_deref(), expected, "{uri}");
        }
    }
}

#[test]
fn fallbacks_name_the_session_in_order() {
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
fn the_key_is_never_sent() {
    let client = client(&layer().opening(HeaderValue::from_static("new")));
    for (uri, token) in [(A, Some("t1")), (A, None), ("/chat", None)] {
        let headers = send(&client, turn(uri, "secret-chat"), answer(200, token));
        for value in headers.values() {
            assert_ne!(value, "secret-chat");
        }
    }
}

#[test]
fn a_token_is_always_sent_as_a_sensitive_value() {
    let is_sensitive = |client: &AffinityToken<_, _, _>| {
        let headers = send(client, turn(A, "chat-1"), answer(200, None));
        headers[TOKEN].is_sensitive()
    };
    let latest = client(&layer());
    for token in ["t1", "t1", "t2"] {
        issue(&latest, A, "chat-1", token);
        assert!(is_sensitive(&latest), "{token} is not sensitive");
    }
    let first = client(&layer().first_token_wins());
    issue(&first, A, "chat-1", "t1");
    assert!(is_sensitive(&first), "a first token is not sensitive");
    let dated = client(&layer().lifetime(|_| Some(Duration::from_secs(600))));
    for _ in 0..2 {
        issue(&dated, A, "chat-1", "t1");
        assert!(
            is_sensitive(&dated),
            "a token with a lifetime is not sensitive"
        );
    }
}

#[test]
fn debug_shows_neither_keys_nor_tokens() {
    let store = MemoryStore::new();
    let layer = layer().store(store.clone());
    let client = client(&layer);
    issue(&client, A, "chat-1", "t1");
    let session = Session::new(
        &TOKEN,
        &A.parse().unwrap(),
        &AffinityKey::from_static("chat-1"),
    )
    .unwrap();
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
fn services_of_a_layer_and_their_clones_share_tokens() {
    let layer = layer();
    let (one, other) = (client(&layer), client(&layer.clone()));
    issue(&one, A, "chat-1", "t1");
    assert_eq!(sent(&other.clone(), A, "chat-1").as_deref(), Some("t1"));
}

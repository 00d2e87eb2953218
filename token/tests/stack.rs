//! The layer in a stack with other layers.

use std::convert::Infallible;

use http::{HeaderMap, HeaderValue, Request};
use support::{Gateway, TOKEN, answer, issue, send, sent, turn, values};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_affinity_token::AffinityTokenLayer;
use tower_session_affinity::{FromHeaders, SessionAffinityLayer, header};

mod support;

const A: &str = "https://a.example/chat";

fn both()
-> impl Service<Request<()>, Response = http::Response<HeaderMap>, Error = Infallible, Future: Send>
+ Clone {
    ServiceBuilder::new()
        .layer(SessionAffinityLayer::new())
        .layer(AffinityTokenLayer::new(TOKEN))
        .service(Gateway)
}

#[test]
fn the_first_hop_gets_the_key_and_the_second_its_token() {
    let client = both();
    let headers = send(&client, turn(A, "chat-1"), answer(200, Some("t1")));
    assert_eq!(headers["x-session-affinity"], "chat-1");
    assert_eq!(values(&headers), [""; 0]);
    let headers = send(&client, turn(A, "chat-1"), answer(200, None));
    assert_eq!(headers["x-session-affinity"], "chat-1");
    assert_eq!(values(&headers), ["t1"]);
}

#[test]
fn a_key_set_by_the_outer_layer_can_name_the_session_of_the_inner_one() {
    let client = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new())
        .layer(AffinityTokenLayer::new(TOKEN).or(FromHeaders::new([header::X_SESSION_AFFINITY])))
        .service(Gateway);
    let adopted = || {
        let request = Request::get(A).header("x-session-affinity", "theirs");
        request.body(()).unwrap()
    };
    send(&client, adopted(), answer(200, Some("t1")));
    assert_eq!(values(&send(&client, adopted(), answer(200, None))), ["t1"]);
}

#[test]
fn of_two_layers_for_one_header_the_inner_one_stops_learning() {
    let (outer, inner) = (
        AffinityTokenLayer::new(TOKEN),
        AffinityTokenLayer::new(TOKEN),
    );
    let client = outer.layer(inner.layer(Gateway));
    issue(&client, A, "chat-1", "t1");
    // Both remember the first token. From then on, the inner layer takes it for the caller's own.
    issue(&client, A, "chat-1", "t2");
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("t2"));
    assert_eq!(
        sent(&inner.layer(Gateway), A, "chat-1").as_deref(),
        Some("t1")
    );
}

#[test]
fn two_layers_for_two_headers_do_not_mix() {
    let other = http::HeaderName::from_static("x-other-token");
    let client = ServiceBuilder::new()
        .layer(AffinityTokenLayer::new(TOKEN))
        .layer(AffinityTokenLayer::new(other.clone()))
        .service(Gateway);
    let mut two = answer(200, Some("t1"));
    two.headers_mut().insert(&other, "o1".parse().unwrap());
    send(&client, turn(A, "chat-1"), two);
    let headers = send(&client, turn(A, "chat-1"), answer(200, None));
    assert_eq!(
        (&headers[TOKEN], &headers[other]),
        (&"t1".parse().unwrap(), &"o1".parse().unwrap())
    );
}

/// As in llm-d with split prefill and decode: two instances of its plugin, each with its own header.
#[test]
fn prefill_and_decode_tokens_are_remembered_and_forgotten_separately() {
    use tower_affinity_token::header::{X_SESSION_TOKEN, X_SESSION_TOKEN_PREFILL};

    let client = ServiceBuilder::new()
        .layer(AffinityTokenLayer::new(X_SESSION_TOKEN))
        .layer(AffinityTokenLayer::new(X_SESSION_TOKEN_PREFILL).forget_on(|_| false))
        .service(Gateway);
    let answer = |status, decode: Option<&'static str>, prefill: Option<&'static str>| {
        let mut answer = answer(status, decode);
        if let Some(token) = prefill {
            let token = HeaderValue::from_static(token);
            answer.headers_mut().insert(X_SESSION_TOKEN_PREFILL, token);
        }
        answer
    };
    let sent = |answer| {
        let headers = send(&client, turn(A, "chat-1"), answer);
        let token = |name| {
            headers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        (token(X_SESSION_TOKEN), token(X_SESSION_TOKEN_PREFILL))
    };
    let token = |text: &str| Some(text.to_owned());
    assert_eq!(sent(answer(200, Some("d1"), Some("p1"))), (None, None));
    let both = sent(answer(200, Some("d1"), Some("p2")));
    assert_eq!(both, (token("d1"), token("p1")));
    let changed = sent(answer(503, None, None));
    assert_eq!(changed, (token("d1"), token("p2")));
    assert_eq!(sent(answer(200, None, None)), (None, token("p2")));
}

/// This is why a response cache goes outside the layer.
#[test]
fn a_response_cache_inside_the_layer_gives_one_sessions_token_to_another() {
    let cached = tower::service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(answer(200, Some("of chat-1")).map(|()| HeaderMap::new()))
    });
    let layer = AffinityTokenLayer::new(TOKEN);
    let inside = layer.layer(cached);
    tokio_test::block_on(inside.oneshot(turn(A, "chat-2"))).unwrap();
    let then = sent(&layer.layer(Gateway), A, "chat-2");
    assert_eq!(then.as_deref(), Some("of chat-1"));
}

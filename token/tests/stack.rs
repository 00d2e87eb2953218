//! The layer among others.

use std::convert::Infallible;

use http::{HeaderMap, Request};
use support::{Gateway, TOKEN, answer, issue, send, sent, turn, values};
use tower::{Layer, Service, ServiceBuilder};
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
fn a_key_that_the_outer_layer_wrote_can_name_the_session_of_the_inner_one() {
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
fn of_two_layers_for_one_header_the_outer_one_sends_and_remembers() {
    let (outer, inner) = (
        AffinityTokenLayer::new(TOKEN),
        AffinityTokenLayer::new(TOKEN),
    );
    let client = outer.layer(inner.layer(Gateway));
    issue(&client, A, "chat-1", "t1");
    // Both remember the first answer; from then on the inner one sees a caller's own token.
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

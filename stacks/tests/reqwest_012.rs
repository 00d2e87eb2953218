//! reqwest 0.12: `layer.stamp` on the built request, since the feature `reqwest` is for 0.13.
//!
//! The method and the headers of its requests are types of `http` 1, too.

use http::Extensions;
use reqwest_012::{Client, Error, Request, Response};
use serde_json::json;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_session_affinity::{
    AffinityKey, FromScope, HostPattern, KeyExtractor, NoAffinity, SessionAffinityLayer,
};

use crate::support::{Server, key};

/// The wiring of one request; `client.execute(request)` sends it.
fn stamp<K: KeyExtractor>(layer: &SessionAffinityLayer<K>, request: &mut Request) {
    let method = request.method().clone();
    let uri = request.url().as_str().parse().unwrap_or_default();
    layer.stamp(&method, &uri, request.headers_mut(), &Extensions::new());
}

/// The wiring of a client as a `tower::Service`.
fn client<K>(
    layer: SessionAffinityLayer<K>,
) -> impl Service<Request, Response = Response, Error = Error> + Clone
where
    K: KeyExtractor + Clone,
{
    ServiceBuilder::new()
        .map_request(move |mut request| {
            stamp(&layer, &mut request);
            request
        })
        .service(Client::new())
}

#[tokio::test]
async fn a_request_that_is_stamped_before_it_is_executed_carries_the_key() {
    let server = Server::start().await;
    let layer = SessionAffinityLayer::new().or(FromScope);
    let client = Client::new();
    for name in ["a", "b"] {
        let chat = json!({ "messages": [] });
        let mut request = client.post(server.url("/")).json(&chat).build().unwrap();
        key(name).sync_scope(|| stamp(&layer, &mut request));
        client.execute(request).await.unwrap();
    }
    assert_eq!(server.lines(), [["a"], ["b"]]);
}

#[tokio::test]
async fn a_client_with_the_stamp_carries_the_key_of_the_scope() {
    let server = Server::start().await;
    let client = client(SessionAffinityLayer::new().or(FromScope));
    let get = || Client::new().get(server.url("/")).build().unwrap();
    for name in ["a", "b"] {
        let call = client.clone().oneshot(get());
        key(name).scope(call).await.unwrap();
    }
    client.oneshot(get()).await.unwrap();
    assert_eq!(server.lines(), [vec!["a"], vec!["b"], vec![]]);
}

#[tokio::test]
async fn the_callers_first_line_is_kept_alone() {
    let server = Server::start().await;
    let client = client(SessionAffinityLayer::new().or(key("ours")));
    let request = Client::new()
        .get(server.url("/"))
        .header("x-session-affinity", "theirs")
        .header("x-session-affinity", "theirs too");
    client.oneshot(request.build().unwrap()).await.unwrap();
    assert_eq!(server.lines(), [["theirs"]]);
}

#[tokio::test]
async fn nothing_is_sent_to_a_host_that_is_not_listed() {
    let (listed, unlisted) = (Server::start().await, Server::start().await);
    let host: HostPattern = listed.authority().parse().unwrap();
    let layer = SessionAffinityLayer::new()
        .or(key("chat-7"))
        .only_hosts([host]);
    let client = client(layer);
    for server in [&listed, &unlisted] {
        let request = Client::new().get(server.url("/")).build().unwrap();
        client.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(
        [listed.lines(), unlisted.lines()],
        [vec![vec!["chat-7"]], vec![vec![]]]
    );
}

/// reqwest hides the extensions of its requests, so `stamp` reads those that it is given.
#[tokio::test]
async fn extensions_beside_the_request_carry_a_key_or_none() {
    let server = Server::start().await;
    let layer = SessionAffinityLayer::new().or(AffinityKey::from_static("fallback"));
    let (mut with_key, mut without) = (Extensions::new(), Extensions::new());
    with_key.insert(key("chat-7"));
    without.insert(NoAffinity);
    for extensions in [with_key, without] {
        let mut request = Client::new().get(server.url("/")).build().unwrap();
        let method = request.method().clone();
        let uri = request.url().as_str().parse().unwrap();
        layer.stamp(&method, &uri, request.headers_mut(), &extensions);
        Client::new().execute(request).await.unwrap();
    }
    assert_eq!(server.lines(), [vec!["chat-7"], vec![]]);
}

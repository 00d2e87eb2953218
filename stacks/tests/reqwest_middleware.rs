//! reqwest-middleware: the layer is a middleware, above retries or below them.

use std::time::Duration;

use http::StatusCode;
use reqwest::Client;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use tower::{ServiceBuilder, ServiceExt};
use tower_session_affinity::{FromScope, NoAffinity, SessionAffinityLayer};

use crate::support::{Server, key};

/// The wiring: a request has its own key, or it takes that of the scope.
fn client(retries: ExponentialBackoff) -> ClientWithMiddleware {
    ClientBuilder::new(Client::new())
        .with(RetryTransientMiddleware::new_with_policy(retries))
        .with(SessionAffinityLayer::new().or(FromScope))
        .build()
}

fn client_with_retries_below(retries: ExponentialBackoff) -> ClientWithMiddleware {
    ClientBuilder::new(Client::new())
        .with(SessionAffinityLayer::new().or(FromScope))
        .with(RetryTransientMiddleware::new_with_policy(retries))
        .build()
}

/// Retries twice without a delay.
fn at_once() -> ExponentialBackoff {
    let policy = ExponentialBackoff::builder().retry_bounds(Duration::ZERO, Duration::ZERO);
    policy.build_with_max_retries(2)
}

#[tokio::test]
async fn sends_the_key_of_the_request_else_that_of_the_scope() {
    let server = Server::start().await;
    let client = client(at_once());
    let calls = async {
        client
            .get(server.url("/"))
            .with_extension(key("a"))
            .send()
            .await
            .unwrap();
        client.get(server.url("/")).send().await.unwrap();
        client
            .get(server.url("/"))
            .with_extension(NoAffinity)
            .send()
            .await
            .unwrap();
    };
    key("b").scope(calls).await;
    assert_eq!(server.lines(), [vec!["a"], vec!["b"], vec![]]);
}

#[tokio::test]
async fn every_retry_carries_the_key_once_above_the_layer_and_below_it() {
    for client in [client(at_once()), client_with_retries_below(at_once())] {
        let server = Server::unavailable_then(StatusCode::OK).await;
        let request = client
            .post(server.url("/"))
            .body("a prompt")
            .with_extension(key("chat-7"));
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
        assert_eq!(server.lines(), [["chat-7"], ["chat-7"], ["chat-7"]]);
    }
}

#[tokio::test]
async fn every_retry_stays_in_the_scope() {
    for client in [client(at_once()), client_with_retries_below(at_once())] {
        let server = Server::unavailable_then(StatusCode::OK).await;
        let request = client.post(server.url("/")).body("a prompt");
        key("chat-7").scope(request.send()).await.unwrap();
        assert_eq!(server.lines(), [["chat-7"], ["chat-7"], ["chat-7"]]);
    }
}

#[tokio::test]
async fn the_layer_also_goes_around_a_client_with_middleware() {
    let server = Server::unavailable_then(StatusCode::OK).await;
    let retries = RetryTransientMiddleware::new_with_policy(at_once());
    let client = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new().or(FromScope))
        .service(ClientBuilder::new(Client::new()).with(retries).build());
    let request = Client::new()
        .post(server.url("/"))
        .body("a prompt")
        .build()
        .unwrap();
    key("chat-7").scope(client.oneshot(request)).await.unwrap();
    assert_eq!(server.lines(), [["chat-7"], ["chat-7"], ["chat-7"]]);
}

//! A gateway that adopts its caller's session: only the derived key is sent on, whichever client the
//! gateway uses.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::header::{CONTENT_LENGTH, HOST};
use http::{StatusCode, Version};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower_session_affinity::{AffinitySecret, KeyExtractor, SessionAffinityLayer, header};

use crate::support::{Adapter, Hosts, Server, connector};

const UPSTREAM: &str = "http://llm.example/v1/chat";

fn secret() -> AffinitySecret {
    AffinitySecret::new(&[7; 32]).unwrap()
}

/// The wiring: any value of these headers makes a key, and none of them is sent on.
fn layer() -> SessionAffinityLayer<impl KeyExtractor + Clone + Send + Sync> {
    SessionAffinityLayer::new().adopt_derived(header::CALLER_SESSIONS, secret())
}

/// A gateway that copies its caller's request, and sends it through this adapter.
fn gateway(adapter: Adapter, hosts: Hosts) -> Router {
    Router::new().fallback(async move |request: Request| -> StatusCode {
        let (mut head, body) = request.into_parts();
        let body = to_bytes(body, 1024).await.unwrap();
        head.uri = UPSTREAM.parse().unwrap();
        head.version = Version::HTTP_11;
        head.headers.remove(HOST);
        head.headers.remove(CONTENT_LENGTH);
        let body = String::from_utf8(body.to_vec()).unwrap();
        let request = http::Request::from_parts(head, body);
        adapter.send(layer(), &hosts, request).await
    })
}

/// Sends one request with these headers, and asserts that the upstream receives the key that is derived
/// from this value, and no value of the caller's.
async fn assert_adopts(adapter: Adapter, http2: bool, headers: &[(&str, &str)], value: &str) {
    let upstream = Server::start().await;
    let hosts = Hosts::new([("llm.example".to_owned(), upstream.address())]);
    let gateway = Server::with(gateway(adapter, hosts)).await;
    let caller = Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .build(connector());
    let request = headers
        .iter()
        .fold(Request::post(gateway.url("/v1/chat")), |request, header| {
            request.header(header.0, header.1)
        });
    let request = request.body(Body::from("a prompt")).unwrap();
    let response = caller.request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);

    let arrivals = upstream.arrivals();
    let lines = arrivals[0].lines(&header::X_SESSION_AFFINITY);
    assert_eq!(lines, [secret().key_for([value]).as_str()], "{adapter:?}");
    let shown = format!("{:?}", arrivals[0].headers);
    assert!(!shown.contains("alice"), "{adapter:?}: {shown}");
}

async fn assert_hides_the_caller(http2: bool) {
    const ALICE: &str = "alice@example.com";
    const LONGER: &str = "alice, chat 7 of 2026";
    #[rustfmt::skip]
    let rows: [(&[(&str, &str)], &str); 5] = [
        (&[("x-session-id", ALICE)], ALICE),
        (&[("x-session-affinity", ALICE)], ALICE),
        (&[("x-session-id", LONGER)], LONGER),
        (&[("x-session-affinity", " "), ("session-id", ALICE)], ALICE),
        (&[("x-session-id", ALICE), ("x-claude-code-session-id", LONGER), ("x-session-id", LONGER)], ALICE),
    ];
    for adapter in Adapter::ALL {
        for (headers, value) in rows {
            assert_adopts(adapter, http2, headers, value).await;
        }
    }
}

#[tokio::test]
async fn a_caller_over_http_1_is_known_upstream_by_the_derived_key_alone() {
    assert_hides_the_caller(false).await;
}

#[tokio::test]
async fn a_caller_over_http_2_is_known_upstream_by_the_derived_key_alone() {
    assert_hides_the_caller(true).await;
}

//! NVIDIA Dynamo: two layers send the session and its parent's session as a pair of headers.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_session_affinity::{FromParent, FromScope, ParentKey, SessionAffinityLayer, header};

use crate::support::{Server, connector, key};

/// The wiring: each layer has a source and a header of its own.
fn client() -> impl Service<Request<Full<Bytes>>, Error: std::fmt::Debug> + Clone {
    let own = SessionAffinityLayer::new()
        .or(FromScope)
        .header_name(header::X_DYNAMO_SESSION_ID);
    let parent = SessionAffinityLayer::from_source(FromParent)
        .header_name(header::X_DYNAMO_PARENT_SESSION_ID);
    ServiceBuilder::new()
        .layer(own)
        .layer(parent)
        .service(Client::builder(TokioExecutor::new()).build(connector()))
}

fn post(server: &Server) -> http::request::Builder {
    Request::post(server.url("/v1/chat/completions"))
}

/// Returns the lines of both headers in each request that arrived.
fn pairs(server: &Server) -> Vec<[Vec<String>; 2]> {
    let names = [
        &header::X_DYNAMO_SESSION_ID,
        &header::X_DYNAMO_PARENT_SESSION_ID,
    ];
    let arrivals = server.arrivals();
    let lines = arrivals
        .iter()
        .map(|arrival| names.map(|name| arrival.lines(name)));
    lines.collect()
}

fn pair(own: &[&str], parent: &[&str]) -> [Vec<String>; 2] {
    [own, parent].map(|lines| lines.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn a_sub_agent_sends_its_own_session_and_its_parents_as_a_pair() {
    let server = Server::start().await;
    let client = client();
    let call = || {
        let request = post(&server).body(Full::default()).unwrap();
        client.clone().oneshot(request)
    };
    key("chat-7")
        .scope(async {
            call().await.unwrap();
            let parent = ParentKey(key("chat-7"));
            let child = parent.scope(key("research-1").scope(call()));
            child.await.unwrap();
            call().await.unwrap();
        })
        .await;
    let alone = pair(&["chat-7"], &[]);
    let child = pair(&["research-1"], &["chat-7"]);
    assert_eq!(pairs(&server), [alone.clone(), child, alone]);
}

#[tokio::test]
async fn the_pair_may_be_in_a_requests_extensions() {
    let server = Server::start().await;
    let request = post(&server)
        .extension(key("research-1"))
        .extension(ParentKey(key("chat-7")));
    let request = request.body(Full::default()).unwrap();
    client().oneshot(request).await.unwrap();
    assert_eq!(pairs(&server), [pair(&["research-1"], &["chat-7"])]);
}

/// The end of a session is told in a header of a last, small request, which needs no layer.
#[tokio::test]
async fn the_last_request_of_a_session_says_so_beside_the_key() {
    let server = Server::start().await;
    let last = post(&server)
        .header("x-dynamo-session-final", "true")
        .extension(key("chat-7"));
    let prompt = r#"{"model":"m","messages":[],"max_tokens":1}"#;
    let last = last.body(Full::from(prompt)).unwrap();
    client().oneshot(last).await.unwrap();
    assert_eq!(pairs(&server), [pair(&["chat-7"], &[])]);
    let lines = server.lines_of(&"x-dynamo-session-final".parse().unwrap());
    assert_eq!(lines, [["true"]]);
}

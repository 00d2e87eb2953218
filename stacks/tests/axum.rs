//! axum: a server's own layer, and a gateway that streams.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tower::{ServiceBuilder, ServiceExt};
use tower_session_affinity::{FromHeaders, SessionAffinityLayer, header};

use crate::support::{Server, connector, or_hung};

/// The wiring of a server: every handler sees one header, whichever name the caller used.
fn server() -> Router {
    let sessions = FromHeaders::new([header::X_SESSION_ID, header::X_CLAUDE_CODE_SESSION_ID]);
    Router::new()
        .route("/lines", get(show_lines))
        .layer(SessionAffinityLayer::new().or(sessions))
}

/// The wiring of a gateway: the session that the caller names picks the replica, and the caller's header
/// is not sent on.
fn gateway(upstream: Authority) -> Router {
    let client = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new().adopt(header::CALLER_SESSIONS))
        .service(Client::builder(TokioExecutor::new()).build(connector()));
    Router::new().fallback(async move |mut request: Request| {
        point_at(&upstream, &mut request);
        client
            .oneshot(request)
            .await
            .map_err(|_| StatusCode::BAD_GATEWAY)
    })
}

/// Points a request at a different authority.
pub(crate) fn point_at(upstream: &Authority, request: &mut Request) {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let uri = Uri::builder().scheme("http").authority(upstream.clone());
    *request.uri_mut() = uri
        .path_and_query(path)
        .build()
        .expect("made of valid parts");
    request.headers_mut().remove(HOST);
    // The client speaks HTTP/1.1, and refuses to send a request with the version HTTP/2.
    *request.version_mut() = Version::HTTP_11;
}

async fn show_lines(headers: HeaderMap) -> String {
    let values = headers.get_all(header::X_SESSION_AFFINITY).iter();
    let lines: Vec<_> = values.map(|value| value.to_str().expect("ASCII")).collect();
    lines.join("\n")
}

/// Starts a server that answers with the server-sent events that the test feeds into it.
async fn start_stream() -> (Server, mpsc::Sender<&'static str>) {
    let (feed, chunks) = mpsc::channel(1);
    let body = Body::from_stream(ReceiverStream::new(chunks).map(Ok::<_, Infallible>));
    let response = ([(CONTENT_TYPE, "text/event-stream")], body).into_response();
    (Server::with(answer_once(response)).await, feed)
}

fn answer_once(response: Response) -> Router {
    let response = Arc::new(Mutex::new(Some(response)));
    Router::new().fallback(async move || {
        response
            .lock()
            .expect("no panic while it is locked")
            .take()
            .ok_or(StatusCode::GONE)
    })
}

#[tokio::test]
async fn a_server_shows_its_handlers_the_callers_session_as_one_header() {
    let server = Server::with(server()).await;
    let request = reqwest::Client::new()
        .get(server.url("/lines"))
        .header("x-claude-code-session-id", "5f0e9c1a")
        .header("x-session-id", "not, one key");
    let shown = request.send().await.unwrap().text().await.unwrap();
    assert_eq!(shown, "5f0e9c1a");
}

#[tokio::test]
async fn a_gateway_sends_the_callers_session_to_the_replica() {
    let replica = Server::start().await;
    let gateway = Server::with(gateway(replica.authority().parse().unwrap())).await;
    for (name, value) in [
        ("x-session-id", "a"),
        ("x-session-affinity", "b"),
        ("accept", "c"),
    ] {
        let request = reqwest::Client::new()
            .post(gateway.url("/v1/chat"))
            .header(name, value);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(replica.lines(), [vec!["a"], vec!["b"], vec![]]);
    // The caller's header is not sent beside the key.
    assert_eq!(
        replica.lines_of(&header::X_SESSION_ID),
        vec![Vec::<String>::new(); 3]
    );
    assert_eq!(replica.arrivals()[0].path, "/v1/chat");
}

#[tokio::test]
async fn a_gateway_serves_a_caller_that_speaks_http_2() {
    let replica = Server::start().await;
    let gateway = Server::with(gateway(replica.authority().parse().unwrap())).await;
    let caller = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build(connector());
    let request = Request::post(gateway.url("/v1/chat")).header("x-session-id", "a");
    let response = caller.request(request.body(Body::empty()).unwrap()).await;
    let response = response.unwrap();
    assert_eq!(
        (response.version(), response.status()),
        (Version::HTTP_2, StatusCode::OK)
    );
    assert_eq!(replica.lines(), [vec!["a"]]);
}

#[tokio::test]
async fn a_gateway_hands_on_each_event_before_the_next_one_exists() {
    let (replica, feed) = start_stream().await;
    let gateway = Server::with(gateway(replica.authority().parse().unwrap())).await;
    let request = reqwest::Client::new()
        .get(gateway.url("/"))
        .header("x-session-id", "chat-7");

    let response = or_hung("the head of the stream", request.send())
        .await
        .unwrap();
    let mut response = http::Response::<reqwest::Body>::from(response);
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    for event in ["data: a\n\n", "data: b\n\n", "data: c\n\n"] {
        feed.send(event).await.unwrap();
        // The next event is made only after this one has arrived.
        let arrived = or_hung("an event that was sent", response.frame()).await;
        assert_eq!(
            arrived.unwrap().unwrap().into_data().unwrap(),
            Bytes::from(event)
        );
    }
    drop(feed);
    assert!(
        or_hung("the end of the stream", response.frame())
            .await
            .is_none()
    );
    assert_eq!(replica.lines(), [["chat-7"]]);
}

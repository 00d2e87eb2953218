//! What the scope reaches in a server: the rows of `docs/scope.md` that need more than tokio.

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures_util::StreamExt;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tower::{ServiceBuilder, ServiceExt};
use tower_session_affinity::{
    AffinityFutureExt, AffinityKey, AffinityScopeLayer, FromExtension, FromHeaders, FromScope, Or,
    SessionAffinity, SessionAffinityLayer, carry_async, header,
};

use crate::support::{Server, connector, or_hung};

type Upstream = (
    SessionAffinity<Client<HttpConnector, Body>, Or<FromExtension, FromScope>>,
    String,
);

/// Starts a server, and returns it with a client that sends it the key of the scope.
async fn upstream() -> (Server, Upstream) {
    let server = Server::start().await;
    let client = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new().or(FromScope))
        .service(Client::builder(TokioExecutor::new()).build(connector()));
    let url = server.url("/");
    (server, (client, url))
}

async fn call((client, url): Upstream) -> &'static str {
    let request = Request::get(url).body(Body::empty()).unwrap();
    client.oneshot(request).await.unwrap();
    "called"
}

/// Serves these routes in the scope of the session that the caller names.
async fn serve(routes: Router<Upstream>, upstream: Upstream) -> Server {
    let sessions = FromHeaders::new([header::X_SESSION_ID]);
    let routes = routes.layer(AffinityScopeLayer::new().or(sessions));
    Server::with(routes.with_state(upstream)).await
}

async fn visit(server: &Server, path: &str) -> String {
    let request = reqwest::Client::new().get(server.url(path));
    let request = request.header("x-session-id", "chat-7");
    or_hung("an answer", request.send())
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

/// Opens a WebSocket, and waits until the server has closed it.
async fn visit_socket(server: &Server, path: &str) {
    let mut request = format!("ws://{}{path}", server.authority())
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("x-session-id", "chat-7".parse().unwrap());
    let (socket, _) = connect_async(request).await.unwrap();
    or_hung("the end of the socket", socket.count()).await;
}

#[tokio::test]
async fn a_websocket_is_not_in_the_scope_unless_its_callback_is_carried() {
    async fn converse(upstream: Upstream, socket: WebSocket) {
        call(upstream).await;
        drop(socket);
    }
    let (replica, upstream) = upstream().await;
    let routes = Router::new()
        .route(
            "/lost",
            any(async |State(upstream), upgrade: WebSocketUpgrade| {
                upgrade.on_upgrade(|socket| converse(upstream, socket))
            }),
        )
        // axum calls the closure in its own task, which has no scope to take along.
        .route(
            "/late",
            any(async |State(upstream), upgrade: WebSocketUpgrade| {
                upgrade.on_upgrade(|socket| converse(upstream, socket).in_current_affinity())
            }),
        )
        .route(
            "/carried",
            any(async |State(upstream), upgrade: WebSocketUpgrade| {
                upgrade.on_upgrade(carry_async(|socket| converse(upstream, socket)))
            }),
        );
    let server = serve(routes, upstream).await;
    for path in ["/lost", "/late", "/carried"] {
        visit_socket(&server, path).await;
    }
    assert_eq!(replica.lines(), [vec![], vec![], vec!["chat-7"]]);
}

#[tokio::test]
async fn a_spawned_producer_over_a_socket_is_not_in_the_scope_unless_it_takes_it_along() {
    async fn produce(upstream: Upstream, lines: mpsc::Sender<Result<&'static str, axum::Error>>) {
        let _ = lines.send(Ok(call(upstream).await)).await;
    }
    let (replica, upstream) = upstream().await;
    let routes = Router::new()
        .route(
            "/lost",
            get(async |State(upstream)| {
                let (lines, body) = mpsc::channel(1);
                tokio::spawn(produce(upstream, lines));
                Body::from_stream(ReceiverStream::new(body))
            }),
        )
        .route(
            "/taken",
            get(async |State(upstream)| {
                let (lines, body) = mpsc::channel(1);
                tokio::spawn(produce(upstream, lines).in_current_affinity());
                Body::from_stream(ReceiverStream::new(body))
            }),
        );
    let server = serve(routes, upstream).await;
    for path in ["/lost", "/taken"] {
        assert_eq!(visit(&server, path).await, "called");
    }
    assert_eq!(replica.lines(), [vec![], vec!["chat-7"]]);
}

#[tokio::test]
async fn a_middleware_is_in_the_scope_only_inside_the_scope_layer() {
    async fn calls_out(State(upstream): State<Upstream>, request: Request, next: Next) -> Response {
        call(upstream).await;
        next.run(request).await
    }
    let (replica, upstream) = upstream().await;
    let sessions = FromHeaders::new([header::X_SESSION_ID]);
    let inside = axum::middleware::from_fn_with_state(upstream.clone(), calls_out);
    let outside = axum::middleware::from_fn_with_state(upstream.clone(), calls_out);
    let routes = Router::new()
        .route("/", get(async |State(upstream)| call(upstream).await))
        .layer(inside)
        .layer(AffinityScopeLayer::new().or(sessions))
        .layer(outside);
    let server = Server::with(routes.with_state(upstream)).await;
    assert_eq!(visit(&server, "/").await, "called");
    assert_eq!(replica.lines(), [vec![], vec!["chat-7"], vec!["chat-7"]]);
}

/// The caller, as the authentication has established.
#[derive(Clone)]
struct Claims {
    subject: String,
}

async fn authenticate(mut request: Request, next: Next) -> Response {
    let subject = request
        .headers()
        .get("authorization")
        .and_then(|token| token.to_str().ok());
    let Some(subject) = subject.and_then(|token| token.strip_prefix("Bearer ")) else {
        return http::StatusCode::UNAUTHORIZED.into_response();
    };
    let claims = Claims {
        subject: subject.to_owned(),
    };
    request.extensions_mut().insert(claims);
    next.run(request).await
}

#[tokio::test]
async fn authentication_whose_claims_make_the_key_must_be_outside_the_scope_layer() {
    let scope = AffinityScopeLayer::new()
        .or_fn(|req| req.extensions().get::<Claims>()?.subject.parse().ok());
    let handler = async || match AffinityKey::current() {
        Some(key) => key.as_str().to_owned(),
        None => "no key".to_owned(),
    };
    // Of two layers of a router, the last one is outside, and sees a request first.
    let routes = Router::new()
        .route("/right", get(handler))
        .layer(scope.clone())
        .layer(from_fn(authenticate));
    let wrong = Router::new()
        .route("/wrong", get(handler))
        .layer(from_fn(authenticate))
        .layer(scope);
    let server = Server::with(routes.merge(wrong)).await;
    for (path, expected) in [("/right", "alice"), ("/wrong", "no key")] {
        let request = reqwest::Client::new()
            .get(server.url(path))
            .bearer_auth("alice");
        let answer = request.send().await.unwrap().text().await.unwrap();
        assert_eq!(answer, expected, "{path}");
    }
}

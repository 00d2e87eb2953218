//! reqwest: through the feature `reqwest`, and through `tower-reqwest`.

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use http::Method;
use reqwest::redirect::Policy;
use reqwest::{Body, Client, Request};
use serde_json::json;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_reqwest::{HttpClientLayer, HttpClientService};
use tower_session_affinity::{
    FromExtension, FromScope, HostPattern, Or, SessionAffinity, SessionAffinityLayer,
};

use crate::support::{Server, key};

/// The wiring with the feature: the service takes reqwest's own requests.
fn client() -> SessionAffinity<Client, Or<FromExtension, FromScope>> {
    ServiceBuilder::new()
        .layer(SessionAffinityLayer::new().or(FromScope))
        .service(Client::new())
}

/// The wiring with `tower-reqwest`: the service takes `http::Request`s, whose extensions it reads.
fn http_client() -> SessionAffinity<HttpClientService<Client>> {
    ServiceBuilder::new()
        .layer(SessionAffinityLayer::new())
        .layer(HttpClientLayer)
        .service(Client::new())
}

/// The wiring with redirects: tower-http follows them instead of reqwest.
fn redirecting(
    host: HostPattern,
) -> reqwest::Result<
    impl Service<http::Request<Body>, Response = http::Response<Body>, Error = reqwest::Error>,
> {
    let client = Client::builder().redirect(Policy::none()).build()?;
    Ok(ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(SessionAffinityLayer::new().only_hosts([host]))
        .layer(HttpClientLayer)
        .service(client))
}

fn post(url: &str) -> Request {
    Client::new().post(url).body("a prompt").build().unwrap()
}

/// Starts a server that redirects `/` to a different one.
async fn start_redirecting(other: &Server) -> Server {
    let away = other.url("/away");
    Server::with(Router::new().route("/", get(async move || Redirect::temporary(&away)))).await
}

#[tokio::test]
async fn a_client_carries_the_key_of_the_scope() {
    let server = Server::start().await;
    let client = client();
    for name in ["a", "b"] {
        let call = client.clone().oneshot(post(&server.url("/")));
        key(name).scope(call).await.unwrap();
    }
    client.oneshot(post(&server.url("/"))).await.unwrap();
    assert_eq!(server.lines(), [vec!["a"], vec!["b"], vec![]]);
}

/// The service cannot build requests, so its inner client does. Clones share its connections.
#[tokio::test]
async fn a_request_that_the_inner_client_builds_is_sent_by_the_service() {
    let server = Server::start().await;
    let client = client();
    for name in ["a", "b"] {
        let chat = json!({ "messages": [] });
        let request = client.get_ref().post(server.url("/")).json(&chat);
        let call = client.clone().oneshot(request.build().unwrap());
        key(name).scope(call).await.unwrap();
    }
    assert_eq!(server.lines(), [["a"], ["b"]]);
}

#[tokio::test]
async fn a_client_keeps_the_callers_header_alone() {
    let server = Server::start().await;
    let request = Client::new().get(server.url("/"));
    let request = request.header("x-session-affinity", "theirs");
    let request = request
        .header("x-session-affinity", "another")
        .build()
        .unwrap();
    key("ours").scope(client().oneshot(request)).await.unwrap();
    assert_eq!(server.lines(), [["theirs"]]);
}

#[tokio::test]
async fn the_extensions_of_an_http_request_arrive_through_tower_reqwest() {
    let server = Server::start().await;
    for name in ["a", "b"] {
        let request = http::Request::post(server.url("/")).extension(key(name));
        http_client()
            .oneshot(request.body(Body::from("a prompt")).unwrap())
            .await
            .unwrap();
    }
    assert_eq!(server.lines(), [["a"], ["b"]]);
}

/// What the docs warn of: reqwest hides the extensions of its requests.
#[tokio::test]
async fn the_extensions_of_an_http_request_do_not_survive_as_reqwests_own() {
    let server = Server::start().await;
    let request = http::Request::post(server.url("/")).extension(key("chat-7"));
    let request = request.body("a prompt").unwrap().try_into().unwrap();
    client().oneshot(request).await.unwrap();
    assert_eq!(server.lines(), [Vec::<String>::new()]);
}

/// What the docs warn of: reqwest follows redirects below the layer.
#[tokio::test]
async fn reqwests_own_redirects_take_the_header_to_another_host() {
    let theirs = Server::start().await;
    let ours = start_redirecting(&theirs).await;
    let host: HostPattern = ours.authority().parse().unwrap();
    let layer = SessionAffinityLayer::new()
        .or(key("chat-7"))
        .only_hosts([host]);
    let client = ServiceBuilder::new().layer(layer).service(Client::new());
    let request = Request::new(Method::GET, ours.url("/").parse().unwrap());
    client.oneshot(request).await.unwrap();
    assert_eq!([ours.lines(), theirs.lines()], [[["chat-7"]], [["chat-7"]]]);
}

#[tokio::test]
async fn redirects_of_tower_http_do_not_take_the_header_to_another_host() {
    let theirs = Server::start().await;
    let ours = start_redirecting(&theirs).await;
    let client = redirecting(ours.authority().parse().unwrap()).unwrap();
    let request = http::Request::get(ours.url("/")).extension(key("chat-7"));
    client
        .oneshot(request.body(Body::default()).unwrap())
        .await
        .unwrap();
    assert_eq!(
        [ours.lines(), theirs.lines()],
        [vec![vec!["chat-7"]], vec![vec![]]]
    );
}

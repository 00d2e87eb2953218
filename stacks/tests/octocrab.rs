//! octocrab: layers on a service that the application provides. The first layer is the innermost.

use std::convert::Infallible;

use axum::{Json, Router};
use http::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use octocrab::service::middleware::base_uri::BaseUriLayer;
use octocrab::{AuthState, Octocrab, OctocrabBuilder};
use serde_json::{Value, json};
use tower_session_affinity::{FromScope, HostPattern, KeyExtractor, SessionAffinityLayer};

use crate::support::{Server, connector, key};

/// The wiring: below the layer that adds the host, so that a list of hosts works.
fn client<K>(base: Uri, layer: &SessionAffinityLayer<K>) -> Result<Octocrab, Infallible>
where
    K: KeyExtractor + Clone + Send + 'static,
{
    OctocrabBuilder::new_empty()
        .with_service(Client::builder(TokioExecutor::new()).build(connector()))
        .with_layer(layer)
        .with_layer(&BaseUriLayer::new(base))
        .with_auth(AuthState::None)
        .build()
}

async fn start_github() -> Server {
    let answer = async || Json(json!({ "login": "octocat" }));
    Server::with(Router::new().fallback(answer)).await
}

fn base(server: &Server) -> Uri {
    server.url("").parse().unwrap()
}

#[tokio::test]
async fn sends_a_fixed_key_with_the_calls_that_octocrab_makes_itself() {
    let github = start_github().await;
    let layer = SessionAffinityLayer::new().or(key("bot"));
    let client = client(base(&github), &layer).unwrap();
    let user: Value = client.get("/users/octocat", None::<&()>).await.unwrap();
    assert_eq!(user["login"], "octocat");
    assert_eq!(github.lines(), [["bot"]]);
}

#[tokio::test]
async fn sends_the_key_in_a_requests_extensions() {
    let github = start_github().await;
    let client = client(base(&github), &SessionAffinityLayer::new()).unwrap();
    let request = Request::get("/")
        .extension(key("chat-7"))
        .body(String::new());
    client.execute(request.unwrap()).await.unwrap();
    assert_eq!(github.lines(), [["chat-7"]]);
}

#[tokio::test]
async fn a_list_of_hosts_sees_the_host_that_octocrab_adds() {
    let (github, other) = (start_github().await, start_github().await);
    let host: HostPattern = github.authority().parse().unwrap();
    let layer = SessionAffinityLayer::new()
        .or(key("bot"))
        .only_hosts([host]);
    for server in [&github, &other] {
        let client = client(base(server), &layer).unwrap();
        let _: Value = client.get("/", None::<&()>).await.unwrap();
    }
    assert_eq!(github.lines(), [["bot"]]);
    assert_eq!(other.lines(), [Vec::<String>::new()]);
}

/// What the docs warn of: octocrab begins with a buffer, whose worker is outside the scope.
#[tokio::test]
async fn a_key_of_the_scope_does_not_arrive() {
    let github = start_github().await;
    let client = client(base(&github), &SessionAffinityLayer::new().or(FromScope)).unwrap();
    let call = client.get::<Value, _, _>("/", None::<&()>);
    key("chat-7").scope(call).await.unwrap();
    assert_eq!(github.lines(), [Vec::<String>::new()]);
}

//! kube: a layer on its default stack, or below the layer that adds the host.

use axum::{Json, Router, routing::get};
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use kube::Config;
use kube::client::{Body, ClientBuilder, ConfigExt};
use serde_json::json;
use tower::ServiceBuilder;
use tower_session_affinity::{FromScope, HostPattern, SessionAffinityLayer};

use crate::support::{Server, connector, key};

/// The wiring: one line on the default stack.
fn client(config: Config) -> kube::Result<kube::Client> {
    let builder = ClientBuilder::try_from(config)?;
    Ok(builder.with_layer(&SessionAffinityLayer::new()).build())
}

/// The wiring with a list of hosts: below the layer that adds the cluster's host.
fn client_of(config: &Config, host: HostPattern) -> kube::Client {
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(
            SessionAffinityLayer::new()
                .or(key("operator"))
                .only_hosts([host]),
        )
        .service(Client::builder(TokioExecutor::new()).build::<_, Body>(connector()));
    kube::Client::new(service, "default")
}

async fn start_cluster() -> Server {
    let version = json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "", "gitTreeState": "",
        "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    });
    Server::with(Router::new().route("/version", get(async || Json(version)))).await
}

fn config(cluster: &Server) -> Config {
    Config::new(cluster.url("/").parse().unwrap())
}

#[tokio::test]
async fn sends_the_key_in_a_requests_extensions() {
    let cluster = start_cluster().await;
    let client = client(config(&cluster)).unwrap();
    let request = Request::get("/version").extension(key("chat-7"));
    client
        .request_text(request.body(vec![]).unwrap())
        .await
        .unwrap();
    assert_eq!(cluster.lines(), [["chat-7"]]);
}

#[tokio::test]
async fn sends_a_fixed_key_with_the_calls_that_kube_makes_itself() {
    let cluster = start_cluster().await;
    let builder = ClientBuilder::try_from(config(&cluster)).unwrap();
    let layer = SessionAffinityLayer::new().or(key("operator"));
    let client = builder.with_layer(&layer).build();
    assert_eq!(client.apiserver_version().await.unwrap().minor, "36");
    assert_eq!(cluster.lines(), [["operator"]]);
}

#[tokio::test]
async fn a_list_of_hosts_works_below_the_layer_that_adds_the_host() {
    let (cluster, other) = (start_cluster().await, start_cluster().await);
    let host: HostPattern = cluster.authority().parse().unwrap();
    for cluster in [&cluster, &other] {
        let client = client_of(&config(cluster), host.clone());
        client.apiserver_version().await.unwrap();
    }
    assert_eq!(cluster.lines(), [["operator"]]);
    assert_eq!(other.lines(), [Vec::<String>::new()]);
}

/// What the docs warn of: on the default stack the host is added below.
#[tokio::test]
async fn a_list_of_hosts_lets_nothing_through_on_the_default_stack() {
    let cluster = start_cluster().await;
    let builder = ClientBuilder::try_from(config(&cluster)).unwrap();
    let host: HostPattern = cluster.authority().parse().unwrap();
    let layer = SessionAffinityLayer::new()
        .or(key("operator"))
        .only_hosts([host]);
    builder
        .with_layer(&layer)
        .build()
        .apiserver_version()
        .await
        .unwrap();
    assert_eq!(cluster.lines(), [Vec::<String>::new()]);
}

/// What the docs warn of: kube's client begins with a buffer, whose worker is outside the scope.
#[tokio::test]
async fn a_key_of_the_scope_does_not_arrive() {
    let cluster = start_cluster().await;
    let builder = ClientBuilder::try_from(config(&cluster)).unwrap();
    let client = builder
        .with_layer(&SessionAffinityLayer::new().or(FromScope))
        .build();
    key("chat-7")
        .scope(client.apiserver_version())
        .await
        .unwrap();
    assert_eq!(cluster.lines(), [Vec::<String>::new()]);
}

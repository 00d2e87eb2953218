//! ureq: a middleware that calls `layer.stamp`. ureq blocks its thread, so the tests call it in a
//! blocking task.

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use tokio::task::spawn_blocking;
use tower_session_affinity::{FromScope, HostPattern, KeyExtractor, SessionAffinityLayer, carry};
use ureq::config::ConfigBuilder;
use ureq::http::Request;
use ureq::middleware::MiddlewareNext;
use ureq::typestate::AgentScope;
use ureq::{Agent, SendBody};

use crate::support::{Server, key};

/// The wiring: ureq's requests are those of `http` 1, extensions included.
fn config<K>(layer: SessionAffinityLayer<K>) -> ConfigBuilder<AgentScope>
where
    K: KeyExtractor + Send + Sync + 'static,
{
    Agent::config_builder().middleware(
        move |request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
            let (mut head, body) = request.into_parts();
            let headers = &mut head.headers;
            layer.stamp(&head.method, &head.uri, headers, &head.extensions);
            next.handle(Request::from_parts(head, body))
        },
    )
}

/// Calls a blocking function on a thread for such calls.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(call).await.unwrap()
}

#[tokio::test]
async fn sends_the_key_in_a_requests_extensions() {
    let server = Server::start().await;
    let (agent, url) = (
        Agent::from(config(SessionAffinityLayer::new()).build()),
        server.url("/"),
    );
    blocking(move || {
        agent.get(&url).extension(key("a")).call().unwrap();
        agent
            .post(&url)
            .extension(key("b"))
            .send("a prompt")
            .unwrap();
        agent.get(&url).call().unwrap();
    })
    .await;
    assert_eq!(server.lines(), [vec!["a"], vec!["b"], vec![]]);
}

#[tokio::test]
async fn sends_the_callers_first_line_alone() {
    let server = Server::start().await;
    let (agent, url) = (
        Agent::from(config(SessionAffinityLayer::new().or(key("ours"))).build()),
        server.url("/"),
    );
    blocking(move || {
        let request = agent.get(&url).header("x-session-affinity", "theirs");
        request
            .header("x-session-affinity", "theirs too")
            .call()
            .unwrap();
    })
    .await;
    assert_eq!(server.lines(), [["theirs"]]);
}

/// A blocking task is outside the scope, unless `carry` takes the scope there.
#[tokio::test]
async fn a_blocking_call_that_is_carried_has_the_key_of_the_scope() {
    let server = Server::start().await;
    let (agent, url) = (
        Agent::from(config(SessionAffinityLayer::new().or(FromScope)).build()),
        server.url("/"),
    );
    let call = move || agent.get(&url).call().unwrap();
    key("chat-7")
        .scope(async {
            blocking(call.clone()).await;
            blocking(carry(call)).await;
        })
        .await;
    assert_eq!(server.lines(), [vec![], vec!["chat-7"]]);
}

/// What the docs warn of: ureq follows redirects below its middleware, unless that is switched off.
#[tokio::test]
async fn ureqs_own_redirects_take_the_header_to_another_host() {
    let theirs = Server::start().await;
    let away = theirs.url("/away");
    let ours = Router::new().route("/", get(async move || Redirect::temporary(&away)));
    let ours = Server::with(ours).await;
    let host: HostPattern = ours.authority().parse().unwrap();
    let layer = SessionAffinityLayer::new()
        .or(key("chat-7"))
        .only_hosts([host]);
    let (following, staying) = (config(layer.clone()), config(layer).max_redirects(0));
    let url = ours.url("/");
    blocking(move || {
        for config in [following, staying] {
            Agent::from(config.build()).get(&url).call().unwrap();
        }
    })
    .await;
    assert_eq!(
        [ours.lines(), theirs.lines()],
        [vec![["chat-7"], ["chat-7"]], vec![["chat-7"]]]
    );
}

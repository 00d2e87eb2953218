//! tower-http's `FollowRedirect`: below it, and with a list of hosts, the key stays at home.

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::follow_redirect::{FollowRedirect, FollowRedirectLayer};
use tower_session_affinity::{
    AffinityKey, FromExtension, HostPattern, MergePolicy, NoAffinity, Or, SessionAffinity,
    SessionAffinityLayer,
};

use crate::support::{Server, key};

type HyperClient = Client<HttpConnector, Full<Bytes>>;
type Stamped<S> = SessionAffinity<S, Or<FromExtension, AffinityKey>>;

/// The wiring: redirects outside, then the layer, which names its hosts.
fn client(key: AffinityKey, host: HostPattern) -> FollowRedirect<Stamped<HyperClient>> {
    ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(SessionAffinityLayer::new().or(key).only_hosts([host]))
        .service(Client::builder(TokioExecutor::new()).build_http())
}

/// A server of ours that redirects to `/home` of its own and to another's server.
struct Origins {
    ours: Server,
    theirs: Server,
}

impl Origins {
    async fn start() -> Self {
        let theirs = Server::start().await;
        let away = theirs.url("/away");
        let ours = Router::new()
            .route("/to-home", get(async || Redirect::temporary("/home")))
            .route("/to-away", get(async move || Redirect::temporary(&away)))
            .route("/home", get(async || {}));
        Self {
            ours: Server::with(ours).await,
            theirs,
        }
    }

    fn host(&self) -> HostPattern {
        self.ours.authority().parse().unwrap()
    }

    /// Sends one request, which is redirected, and returns the lines of both hops.
    async fn lines<S>(&self, client: S, path: &str, marker: Marker) -> [Vec<String>; 2]
    where
        S: Service<Request<Full<Bytes>>, Error: std::fmt::Debug>,
    {
        let request = Request::get(self.ours.url(path));
        let request = match marker {
            Marker::None => request,
            Marker::Key => request.extension(key("chat-7")),
            Marker::NoAffinity => request.extension(NoAffinity),
        };
        client
            .oneshot(request.body(Full::default()).unwrap())
            .await
            .unwrap();
        let mut lines = self.ours.lines();
        lines.extend(self.theirs.lines());
        lines.try_into().expect("two hops")
    }
}

/// What a request has in its extensions.
enum Marker {
    None,
    Key,
    NoAffinity,
}

fn plain() -> HyperClient {
    Client::builder(TokioExecutor::new()).build_http()
}

#[tokio::test]
async fn a_key_follows_a_redirect_at_home() {
    for marker in [Marker::None, Marker::Key] {
        let origins = Origins::start().await;
        let client = client(key("chat-7"), origins.host());
        let lines = origins.lines(client, "/to-home", marker).await;
        assert_eq!(lines, [["chat-7"], ["chat-7"]]);
    }
}

#[tokio::test]
async fn a_listed_host_is_not_followed_to_another_one() {
    for marker in [Marker::None, Marker::Key] {
        let origins = Origins::start().await;
        let client = client(key("chat-7"), origins.host());
        let lines = origins.lines(client, "/to-away", marker).await;
        assert_eq!(lines, [vec!["chat-7"], vec![]]);
    }
}

#[tokio::test]
async fn a_side_call_stays_without_a_key_when_it_is_redirected_to_another_host() {
    let origins = Origins::start().await;
    let client = client(key("chat-7"), origins.host());
    let lines = origins.lines(client, "/to-away", Marker::NoAffinity).await;
    assert_eq!(lines, [Vec::<String>::new(), vec![]]);
}

/// What the docs warn of: without a list of hosts only a key in the extensions stays behind.
#[tokio::test]
async fn without_a_list_of_hosts_a_fixed_key_leaks_and_a_key_in_the_extensions_does_not() {
    for policy in [MergePolicy::Keep, MergePolicy::Replace] {
        let layer = SessionAffinityLayer::new().merge_policy(policy);
        let rows = [
            (layer.clone().or(None), Marker::Key, vec![]),
            (
                layer.clone().or(Some(key("chat-7"))),
                Marker::None,
                vec!["chat-7"],
            ),
        ];
        for (layer, marker, leaked) in rows {
            let origins = Origins::start().await;
            let client = FollowRedirect::new(ServiceBuilder::new().layer(layer).service(plain()));
            let lines = origins.lines(client, "/to-away", marker).await;
            assert_eq!(lines, [vec!["chat-7"], leaked]);
        }
    }
}

/// What the docs warn of: outside the redirects the layer sees the first host alone.
#[tokio::test]
async fn outside_the_redirects_not_even_a_list_of_hosts_helps() {
    let origins = Origins::start().await;
    let client = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new().only_hosts([origins.host()]))
        .layer(FollowRedirectLayer::new())
        .service(plain());
    let lines = origins.lines(client, "/to-away", Marker::Key).await;
    assert_eq!(lines, [["chat-7"], ["chat-7"]]);
}

/// What the docs warn of: the marker is lost on the way to another host.
#[tokio::test]
async fn without_a_list_of_hosts_a_side_call_gains_the_key_when_it_is_redirected_away() {
    let origins = Origins::start().await;
    let layer = SessionAffinityLayer::new().or(key("chat-7"));
    let client = FollowRedirect::new(ServiceBuilder::new().layer(layer).service(plain()));
    let lines = origins.lines(client, "/to-away", Marker::NoAffinity).await;
    assert_eq!(lines, [vec![], vec!["chat-7"]]);
}

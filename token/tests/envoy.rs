//! Envoy's stateful sessions: a session stays on its replica because of the layer, and survives its death.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gateways::{find_program, free_address};
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use replica::Replica;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tower::retry::{Policy, Retry};
use tower::{Layer, Service, ServiceExt};
use tower_affinity_token::{AffinityTokenLayer, header::X_SESSION_TOKEN};
use tower_session_affinity::AffinityKey;

#[path = "support/replica.rs"]
mod replica;

/// The response header in which a replica names itself.
const REPLICA: HeaderName = HeaderName::from_static("x-replica");

const SESSIONS: usize = 20;

type Body = Empty<Bytes>;
type HyperClient = Client<HttpConnector, Body>;

/// The replicas that each session reached.
type Met = BTreeMap<usize, BTreeSet<SocketAddr>>;

/// Envoy, and the folder with the file that lists its replicas.
struct Envoy {
    process: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Envoy {
    async fn start(program: &Path, replicas: &[Replica]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let watched = folder.path().join("replicas");
        std::fs::create_dir(&watched).unwrap();
        let listen = free_address().unwrap();
        let mut text = include_str!("envoy.yaml").to_owned();
        for (published, here) in [
            (
                "port_value: 18084",
                format!("port_value: {}", listen.port()),
            ),
            ("/etc/envoy/replicas", watched.display().to_string()),
        ] {
            assert!(
                text.contains(published),
                "the configuration has no {published}"
            );
            text = text.replace(published, &here);
        }
        let file = folder.path().join("envoy.yaml");
        std::fs::write(&file, text).unwrap();
        tell(folder.path(), replicas);
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).args(["--concurrency", "1"]);
        command.args(["--disable-hot-restart", "--log-level", "error"]);
        let mut envoy = Self {
            process: command.spawn().unwrap(),
            address: listen,
            folder,
        };
        until("Envoy to listen", || {
            let ended = envoy.process.try_wait().unwrap();
            assert!(ended.is_none(), "Envoy ended: {ended:?}");
            async { TcpStream::connect(listen).await.is_ok() }
        })
        .await;
        envoy
    }

    fn uri(&self) -> String {
        format!("http://{}/v1/chat", self.address)
    }

    fn reload(&self, replicas: &[Replica]) {
        tell(self.folder.path(), replicas);
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Replaces the list of replicas by a move, which Envoy watches for.
fn tell(folder: &Path, replicas: &[Replica]) {
    let endpoints: Vec<_> = replicas
        .iter()
        .map(|replica| {
            let port = replica.address.port();
            let address = format!(r#"{{"address": "127.0.0.1", "port_value": {port}}}"#);
            format!(r#"{{"endpoint": {{"address": {{"socket_address": {address}}}}}}}"#)
        })
        .collect();
    let text = format!(
        r#"{{"resources": [{{
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": "replicas",
            "endpoints": [{{"lb_endpoints": [{}]}}]
        }}]}}"#,
        endpoints.join(",")
    );
    std::fs::write(folder.join("new.json"), text).unwrap();
    std::fs::rename(
        folder.join("new.json"),
        folder.join("replicas/replicas.json"),
    )
    .unwrap();
}

/// Retries once if the first attempt gets a 503.
#[derive(Clone, Default)]
struct Once {
    tried: bool,
    retries: Arc<AtomicUsize>,
}

impl Policy<Request<Body>, Response<Incoming>, Error> for Once {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<Incoming>, Error>,
    ) -> Option<Self::Future> {
        let failed =
            matches!(result, Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE);
        if self.tried || !failed {
            return None;
        }
        self.tried = true;
        self.retries.fetch_add(1, Ordering::Relaxed);
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}

fn turn(uri: &str, session: usize) -> Request<Body> {
    let key: AffinityKey = format!("chat-{session}").try_into().unwrap();
    let request = Request::get(uri).extension(key);
    request.body(Body::new()).unwrap()
}

/// Sends a request that must succeed, and returns the replica that served it.
async fn answered<S>(client: &S, request: Request<Body>) -> SocketAddr
where
    S: Service<Request<Body>, Response = Response<Incoming>, Error = Error> + Clone,
{
    let response = client.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.headers()[REPLICA]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// Sends a number of turns of every session.
async fn converse<S>(client: &S, uri: &str, turns: usize, met: &mut Met)
where
    S: Service<Request<Body>, Response = Response<Incoming>, Error = Error> + Clone,
{
    for _turn in 0..turns {
        for session in 0..SESSIONS {
            let replica = answered(client, turn(uri, session)).await;
            met.entry(session).or_default().insert(replica);
        }
    }
}

/// Waits for something that Envoy does in the background.
async fn until<F: Future<Output = bool>>(what: &str, mut has_happened: impl FnMut() -> F) {
    for _ in 0..6_000 {
        if has_happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited five minutes for {what}");
}

/// Returns the session's only replica.
fn home(met: &Met, session: usize) -> SocketAddr {
    let replicas = &met[&session];
    assert_eq!(
        replicas.len(),
        1,
        "session {session} reached several replicas: {replicas:?}"
    );
    *replicas.first().unwrap()
}

fn hyper_client() -> HyperClient {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn replica() -> Replica {
    Replica::start(|address, _| Response::builder().header(REPLICA, address.to_string())).await
}

async fn four_replicas() -> Vec<Replica> {
    let mut replicas = Vec::new();
    for _ in 0..4 {
        replicas.push(replica().await);
    }
    replicas
}

#[tokio::test]
async fn sessions_stay_on_their_replica_through_a_reload_and_survive_its_death_with_one_retry() {
    let Some(program) = find_program("envoy") else {
        return;
    };
    let mut replicas = four_replicas().await;
    let envoy = Envoy::start(&program, &replicas).await;
    let uri = envoy.uri();
    let plain = hyper_client();
    let policy = Once::default();
    let layer = AffinityTokenLayer::new(X_SESSION_TOKEN);
    let client = Retry::new(policy.clone(), layer.layer(plain.clone()));

    let mut met = Met::new();
    converse(&client, &uri, 10, &mut met).await;
    let used: BTreeSet<_> = met.values().flatten().collect();
    assert!(
        used.len() > 1,
        "expected several replicas, found only {used:?}"
    );

    replicas.push(replica().await);
    envoy.reload(&replicas);
    let added = replicas[4].address;
    until("the new replica", || async {
        answered(&plain, Request::get(&uri).body(Body::new()).unwrap()).await == added
    })
    .await;
    converse(&client, &uri, 10, &mut met).await;
    let homes: Vec<_> = (0..SESSIONS).map(|session| home(&met, session)).collect();
    assert!(
        !homes.contains(&added),
        "a session moved to the new replica"
    );
    assert_eq!(policy.retries.load(Ordering::Relaxed), 0);

    // Envoy returns 503 for a token of the killed replica once its health check has failed.
    let killed = homes[0];
    let token = token_of(&plain, &uri, killed).await;
    replicas.retain(|replica| replica.address != killed);
    until("the dead replica to be noticed", || async {
        let request = Request::get(&uri).header(X_SESSION_TOKEN, &token);
        let answer = plain.request(request.body(Body::new()).unwrap()).await;
        answer.unwrap().status() == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;

    let mut met_after = Met::new();
    converse(&client, &uri, 5, &mut met_after).await;
    let orphans = homes.iter().filter(|home| **home == killed).count();
    assert_eq!(policy.retries.load(Ordering::Relaxed), orphans);
    for (session, before) in homes.into_iter().enumerate() {
        let after = home(&met_after, session);
        assert_eq!(
            after == before,
            before != killed,
            "session {session} went from {before} to {after}; {killed} was killed"
        );
    }
}

/// Sends requests without a token until this replica issues one.
async fn token_of(client: &HyperClient, uri: &str, replica: SocketAddr) -> http::HeaderValue {
    loop {
        let request = Request::get(uri).body(Body::new()).unwrap();
        let answer = client.request(request).await.unwrap();
        if answer.headers()[REPLICA] == replica.to_string() {
            return answer.headers()[X_SESSION_TOKEN].clone();
        }
    }
}

#[tokio::test]
async fn without_the_layer_sessions_scatter() {
    let Some(program) = find_program("envoy") else {
        return;
    };
    let replicas = four_replicas().await;
    let envoy = Envoy::start(&program, &replicas).await;
    let mut met = Met::new();
    converse(&hyper_client(), &envoy.uri(), 20, &mut met).await;
    // A session of twenty turns stays on one of four replicas by chance once in 2.7 * 10^11 times.
    for (session, replicas) in met {
        assert!(
            replicas.len() > 1,
            "session {session} reached only {replicas:?}"
        );
    }
}

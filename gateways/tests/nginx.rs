//! nginx with `hash … consistent`: a conversation stays on its replica because of the layer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use gateways::{Gateway, REPLICA, Replica, find_program, free_address};
use http::Request;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{Layer, Service, ServiceExt};
use tower_session_affinity::{AffinityKey, SessionAffinityLayer, header};

const CONVERSATIONS: usize = 20;
const TURNS: usize = 10;

/// The published configuration, with the addresses of this test.
fn configuration(listen: SocketAddr, replicas: &[Replica]) -> String {
    let mut text = include_str!("../nginx.conf").replace("127.0.0.1:18081", &listen.to_string());
    for (index, replica) in replicas.iter().enumerate() {
        let published = format!("127.0.0.1:{}", 19001 + index);
        assert!(
            text.contains(&published),
            "the configuration has no {published}"
        );
        text = text.replace(&published, &replica.address.to_string());
    }
    text
}

async fn start_nginx(program: &Path, folder: &Path, replicas: &[Replica]) -> Gateway {
    let listen = free_address().unwrap();
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration(listen, replicas)).unwrap();
    // One process in the foreground, so that it ends with the test.
    let settings = "daemon off; master_process off; pid nginx.pid; error_log stderr warn;";
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(&file)
        .args(["-g", settings]);
    Gateway::start(&mut command, listen).await.unwrap()
}

/// Takes all conversations forward one turn at a time and returns the replicas that each one met.
async fn converse<S>(client: S, gateway: SocketAddr) -> BTreeMap<usize, BTreeSet<String>>
where
    S: Service<Request<Empty<Bytes>>, Response = http::Response<hyper::body::Incoming>> + Clone,
    S::Error: std::fmt::Debug,
{
    let mut met = BTreeMap::<_, BTreeSet<_>>::new();
    for _turn in 0..TURNS {
        for conversation in 0..CONVERSATIONS {
            let key: AffinityKey = format!("chat-{conversation}").try_into().unwrap();
            let request = Request::get(format!("http://{gateway}/v1/chat")).extension(key);
            let request = request.body(Empty::new()).unwrap();
            let response = client.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let replica = response.headers()[REPLICA].to_str().unwrap().to_owned();
            met.entry(conversation).or_default().insert(replica);
        }
    }
    met
}

#[tokio::test]
async fn every_conversation_stays_on_one_replica_with_the_layer_and_scatters_without() {
    let Some(program) = find_program("nginx") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut replicas = Vec::new();
    for _ in 0..4 {
        replicas.push(Replica::start(header::X_SESSION_AFFINITY).await.unwrap());
    }
    let gateway = start_nginx(&program, folder.path(), &replicas).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();

    let with = converse(
        SessionAffinityLayer::new().layer(client.clone()),
        gateway.address,
    )
    .await;
    for (conversation, replicas) in &with {
        assert_eq!(
            replicas.len(),
            1,
            "conversation {conversation} met {replicas:?}"
        );
    }
    let used: BTreeSet<_> = with.values().flatten().collect();
    assert!(used.len() > 1, "all conversations are on one replica");
    for replica in &replicas {
        assert!(
            replica.line_counts().iter().all(|lines| *lines == 1),
            "not one line a request"
        );
    }

    // By chance one conversation of ten turns stays on one of four replicas once in 262,144 times.
    let without = converse(client, gateway.address).await;
    let scattered = without
        .values()
        .filter(|replicas| replicas.len() > 1)
        .count();
    assert!(
        scattered >= CONVERSATIONS - 1,
        "{scattered} of {CONVERSATIONS} scattered"
    );
}

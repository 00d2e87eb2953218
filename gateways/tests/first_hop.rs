//! Two gateways, each with its own memory of tokens, in front of Envoy's stateful sessions. A first hop that hashes
//! the session onto the gateways keeps each session on its replica, without shared state.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use gateways::{
    Cluster, Process, REPLICA, Setup, Spec, X_GATEWAY, bare_client, find_program, free_address,
    launch,
};
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tower::{Layer as _, ServiceExt as _};
use tower_affinity_token::header::X_SESSION_TOKEN;
use tower_session_affinity::{AffinityKey, SessionAffinityLayer};

const SESSIONS: usize = 100;

/// A generous limit: what the tests wait for takes a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

static ENVOY: Spec = Spec {
    program: "envoy",
    header_name: X_SESSION_TOKEN,
    launch: |program, setup| {
        launch::envoy(
            program,
            setup,
            include_str!("../envoy-stateful-session.yaml"),
        )
    },
    forwards: true,
};

/// A gateway in its own process.
struct Gateway {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

/// Who answered a session's turn.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Met {
    gateway: SocketAddr,
    replica: SocketAddr,
}

impl Gateway {
    async fn start(address: SocketAddr, envoy: SocketAddr) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_token_gateway"));
        command.args([address.to_string(), envoy.to_string()]);
        let mut process = Process::start(&command, folder.path())?;
        wait_for(&mut process, address).await?;
        Ok(Self {
            address,
            _process: process,
            _folder: folder,
        })
    }
}

async fn wait_for(process: &mut Process, address: SocketAddr) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).await.is_err() {
        process.check()?;
        if Instant::now() > deadline {
            return Err(io::Error::other(process.last_lines()));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Sends one turn of each session to the address that `hop` returns for it. No request may fail.
async fn turn(hop: impl Fn(usize) -> SocketAddr) -> io::Result<Vec<Met>> {
    let mut met = Vec::new();
    for session in 0..SESSIONS {
        let key: AffinityKey = format!("chat-{session}").parse().expect("a valid key");
        let request = Request::post(format!("http://{}/v1/chat/completions", hop(session)))
            .extension(key)
            .body(Full::new(Bytes::from("{}")))
            .map_err(io::Error::other)?;
        let client = SessionAffinityLayer::new().layer(bare_client());
        let response = client.oneshot(request).await.map_err(io::Error::other)?;
        assert_eq!(response.status(), StatusCode::OK, "session {session}");
        met.push(Met {
            gateway: address_in(&response, &X_GATEWAY),
            replica: address_in(&response, &REPLICA),
        });
        response
            .into_body()
            .collect()
            .await
            .map_err(io::Error::other)?;
    }
    Ok(met)
}

fn address_in(response: &Response<Incoming>, name: &HeaderName) -> SocketAddr {
    let value = response.headers()[name].to_str().expect("ASCII");
    value.parse().expect("an address")
}

/// Returns the numbers of the sessions whose replica changed since the turn before.
fn moved(before: &[Met], after: &[Met]) -> Vec<usize> {
    let pairs = before.iter().zip(after).enumerate();
    pairs
        .filter_map(|(session, (before, after))| {
            (before.replica != after.replica).then_some(session)
        })
        .collect()
}

fn sessions_of(gateway: SocketAddr, met: &[Met]) -> Vec<usize> {
    (0..SESSIONS)
        .filter(|session| met[*session].gateway == gateway)
        .collect()
}

#[tokio::test]
async fn behind_a_hashing_first_hop_a_dead_gateway_moves_only_its_own_sessions() -> io::Result<()> {
    let (Some(pingora), Some(cluster)) = (
        find_program("pingora-gateway"),
        Cluster::start(&ENVOY).await?,
    ) else {
        return Ok(());
    };
    let first = Gateway::start(free_address()?, cluster.address).await?;
    let second = Gateway::start(free_address()?, cluster.address).await?;
    let folder = tempfile::tempdir()?;
    let setup = Setup::new(vec![first.address, second.address], folder.path())?;
    let mut pingora = Process::start(&launch::pingora(&pingora, &setup), folder.path())?;
    wait_for(&mut pingora, setup.listen).await?;
    let hop = |_| setup.listen;

    cluster.sent.take();
    let before = turn(hop).await?;
    for _ in 0..2 {
        assert_eq!(turn(hop).await?, before);
    }
    // Envoy gets no token with the first turn of a session, and one with each later turn.
    let lines = BTreeMap::from([(0, SESSIONS), (1, 2 * SESSIONS)]);
    assert_eq!(
        cluster.sent.take(),
        lines,
        "requests to Envoy by number of tokens"
    );
    let (orphans, others) = (
        sessions_of(first.address, &before),
        sessions_of(second.address, &before),
    );
    assert!(
        !orphans.is_empty() && !others.is_empty(),
        "one gateway has all sessions; the first has {orphans:?}"
    );

    // One gateway dies between two turns. No request fails, and the sessions of the other gateway keep
    // their replicas.
    let address = first.address;
    drop(first);
    let after = turn(hop).await?;
    let strays = moved(&before, &after);
    assert!(
        strays.iter().all(|session| orphans.contains(session)),
        "sessions that moved: {strays:?}, sessions of the dead gateway: {orphans:?}"
    );
    // The sessions of the dead gateway have a new replica and keep it.
    assert_eq!(turn(hop).await?, after);

    let _first = Gateway::start(address, cluster.address).await?;
    let deadline = Instant::now() + PATIENCE;
    let back = loop {
        let met = turn(hop).await?;
        if sessions_of(address, &met) == orphans {
            break met;
        }
        assert!(
            Instant::now() < deadline,
            "the sessions do not return to the restarted gateway within a minute"
        );
    };
    let strays = moved(&after, &back);
    assert!(
        strays.iter().all(|session| orphans.contains(session)),
        "sessions that moved: {strays:?}, sessions of the restarted gateway: {orphans:?}"
    );
    assert_eq!(turn(hop).await?, back);
    Ok(())
}

#[tokio::test]
async fn when_turns_alternate_between_gateways_most_sessions_change_their_replica() -> io::Result<()>
{
    let Some(cluster) = Cluster::start(&ENVOY).await? else {
        return Ok(());
    };
    let first = Gateway::start(free_address()?, cluster.address).await?;
    let second = Gateway::start(free_address()?, cluster.address).await?;
    let before = turn(|_| first.address).await?;
    let after = turn(|_| second.address).await?;
    // One in four stays by chance. A third or fewer move in less than one of 10^16 runs.
    let moved = moved(&before, &after).len();
    assert!(
        moved > SESSIONS / 3,
        "{moved} of {SESSIONS} sessions moved, expected more than a third"
    );
    Ok(())
}

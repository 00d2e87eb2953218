//! Pingora with a hash ring: the program of `pingora/`.

use std::io;
use std::time::Duration;

use gateways::suite;
use gateways::{Cluster, Spec, launch};
use http::StatusCode;
use tokio::time::timeout;
use tower_session_affinity::header;

static PINGORA: Spec = Spec {
    program: "pingora-gateway",
    header_name: header::X_SESSION_AFFINITY,
    launch: launch::pingora,
    forwards: true,
};

#[tokio::test]
async fn every_key_stays_on_one_replica() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&PINGORA).await
}

#[tokio::test]
async fn requests_without_a_key_spread() -> io::Result<()> {
    suite::requests_without_a_key_spread(&PINGORA).await
}

#[tokio::test]
async fn one_line_leaves_whatever_the_caller_wrote() -> io::Result<()> {
    suite::one_line_leaves_whatever_the_caller_wrote(&PINGORA).await
}

#[tokio::test]
async fn a_dead_replica_moves_only_its_keys_and_gets_them_back() -> io::Result<()> {
    suite::a_dead_replica_moves_only_its_keys(&PINGORA, 0).await
}

/// Its ring has no end, and a gateway that looks for a replica in vain must stop looking.
#[tokio::test]
async fn without_a_replica_it_answers_503_and_goes_on() -> io::Result<()> {
    let Some(mut cluster) = Cluster::start(&PINGORA).await? else {
        return Ok(());
    };
    for replica in &mut cluster.replicas {
        replica.kill().await?;
    }
    // As many as it has threads and more: none of them hangs.
    for number in 0..64 {
        let request = cluster.keyed(&format!("chat-{number}"));
        let answer = timeout(
            Duration::from_secs(60),
            cluster.bare_client().request(request),
        );
        let answer = answer.await.expect("an answer").map_err(io::Error::other)?;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    for replica in &mut cluster.replicas {
        replica.restart().await?;
    }
    // The health checks may not have seen them yet.
    cluster
        .send_all(&cluster.client(), [cluster.keyed("chat-7")])
        .await;
    Ok(())
}

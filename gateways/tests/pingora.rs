//! Pingora with a hash ring: the program in `pingora/`.

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
async fn requests_without_a_key_are_spread_over_all_replicas() -> io::Result<()> {
    suite::requests_without_a_key_are_spread_over_all_replicas(&PINGORA).await
}

#[tokio::test]
async fn the_gateway_gets_one_header_line_whatever_the_caller_wrote() -> io::Result<()> {
    suite::the_gateway_gets_one_header_line_whatever_the_caller_wrote(&PINGORA).await
}

#[tokio::test]
async fn when_a_replica_dies_only_its_keys_move_and_return_with_it() -> io::Result<()> {
    suite::when_a_replica_dies_only_its_keys_move_and_return_with_it(&PINGORA, 0).await
}

/// The iterator over its ring never ends, so a search that finds no replica must be bounded.
#[tokio::test]
async fn with_all_replicas_dead_it_answers_503_and_recovers() -> io::Result<()> {
    let Some(mut cluster) = Cluster::start(&PINGORA).await? else {
        return Ok(());
    };
    for replica in &mut cluster.replicas {
        replica.kill().await?;
    }
    // More requests than it has threads, none of which may hang.
    for number in 0..64 {
        let request = cluster.keyed(&format!("chat-{number}"));
        let answer = timeout(
            Duration::from_secs(60),
            cluster.bare_client().request(request),
        );
        let answer = answer
            .await
            .expect("an answer within a minute")
            .map_err(io::Error::other)?;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    for replica in &mut cluster.replicas {
        replica.restart().await?;
    }
    // The health checks may not have noticed the replicas yet.
    cluster
        .send_all(&cluster.client(), [cluster.keyed("chat-7")])
        .await;
    Ok(())
}

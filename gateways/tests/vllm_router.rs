//! vLLM's `vllm-router`, which reads `x-session-id` and no other name.

use std::io;
use std::path::Path;
use std::process::Command;

use gateways::suite::{self, Failover};
use gateways::{Cluster, Setup, Spec};
use tower::Layer as _;
use tower_session_affinity::{SessionAffinityLayer, header};

static VLLM_ROUTER: Spec = Spec {
    program: "vllm-router",
    header_name: header::X_SESSION_ID,
    launch,
    forwards: true,
};

fn launch(program: &Path, setup: &Setup) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--host", "127.0.0.1", "--policy", "consistent_hash"])
        .args(["--port", &setup.listen.port().to_string()])
        .args(["--prometheus-port", &setup.metrics.port().to_string()])
        .arg("--worker-urls")
        .args(setup.urls())
        .args(["--worker-startup-check-interval", "1"])
        // The defaults leave a replica that came back alone for longer.
        .args(["--health-check-interval-secs", "2"])
        // By default a replica counts as dead after ten failures, and a request is given up after five.
        .args(["--cb-failure-threshold", "3"])
        .args(["--cb-timeout-duration-secs", "3"]);
    command
}

#[tokio::test]
async fn every_key_stays_on_one_replica() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&VLLM_ROUTER).await
}

/// Without the header it hashes the body, and these are equal.
#[tokio::test]
async fn requests_without_a_key_all_go_to_one_replica() -> io::Result<()> {
    let Some(cluster) = Cluster::start(&VLLM_ROUTER).await? else {
        return Ok(());
    };
    let shares = suite::shares_of_keyless(&cluster, &cluster.client(), &[]).await;
    suite::report(&VLLM_ROUTER, format_args!("no key: {shares:?}"));
    assert_eq!(shares, [200]);
    Ok(())
}

#[tokio::test]
async fn our_default_name_puts_every_key_on_one_replica() -> io::Result<()> {
    let Some(cluster) = Cluster::start(&VLLM_ROUTER).await? else {
        return Ok(());
    };
    let client = SessionAffinityLayer::new().layer(cluster.bare_client());
    let shares = suite::count(&suite::place(&cluster, &client).await);
    suite::report(
        &VLLM_ROUTER,
        format_args!("under x-session-affinity: {shares:?}"),
    );
    assert_eq!(shares, [1_000]);
    Ok(())
}

#[tokio::test]
async fn one_line_leaves_whatever_the_caller_wrote() -> io::Result<()> {
    suite::one_line_leaves_whatever_the_caller_wrote(&VLLM_ROUTER).await
}

#[tokio::test]
async fn a_dead_replica_moves_only_its_keys_and_gets_them_back() -> io::Result<()> {
    let failover = Failover {
        others_moved: 0,
        returns: true,
    };
    suite::a_dead_replica_moves_only_its_keys(&VLLM_ROUTER, failover).await
}

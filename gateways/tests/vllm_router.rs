//! vLLM's `vllm-router`, which hashes `x-session-id` and no other header.

use std::io;

use gateways::suite;
use gateways::{Cluster, Spec, launch};
use tower::Layer as _;
use tower_session_affinity::{SessionAffinityLayer, header};

static VLLM_ROUTER: Spec = Spec {
    program: "vllm-router",
    header_name: header::X_SESSION_ID,
    launch: |program, setup| launch::vllm_router(program, setup, "consistent_hash"),
    forwards: true,
};

#[tokio::test]
async fn every_key_stays_on_one_replica() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&VLLM_ROUTER).await
}

/// Without the header it hashes the body, and these bodies are equal.
#[tokio::test]
async fn equal_requests_without_a_key_all_go_to_one_replica() -> io::Result<()> {
    let Some(cluster) = Cluster::start(&VLLM_ROUTER).await? else {
        return Ok(());
    };
    let shares = suite::shares_of_keyless(&cluster, &cluster.client(), &[]).await;
    suite::report(&VLLM_ROUTER, format_args!("no key: {shares:?}"));
    assert_eq!(shares, [200], "requests per replica");
    Ok(())
}

#[tokio::test]
async fn under_x_session_affinity_all_keys_go_to_one_replica() -> io::Result<()> {
    let Some(cluster) = Cluster::start(&VLLM_ROUTER).await? else {
        return Ok(());
    };
    let client = SessionAffinityLayer::new().layer(cluster.bare_client());
    let shares = suite::count(&suite::place(&cluster, &client).await);
    suite::report(
        &VLLM_ROUTER,
        format_args!("under x-session-affinity: {shares:?}"),
    );
    assert_eq!(shares, [1_000], "requests per replica");
    Ok(())
}

#[tokio::test]
async fn the_gateway_gets_one_header_line_whatever_the_caller_wrote() -> io::Result<()> {
    suite::the_gateway_gets_one_header_line_whatever_the_caller_wrote(&VLLM_ROUTER).await
}

#[tokio::test]
async fn when_a_replica_dies_only_its_keys_move_and_return_with_it() -> io::Result<()> {
    suite::when_a_replica_dies_only_its_keys_move_and_return_with_it(&VLLM_ROUTER, 0).await
}

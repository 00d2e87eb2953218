//! The SGLang model gateway, `smg`, with its own header and with `x-session-affinity`.

use std::io;

use gateways::suite;
use gateways::{Cluster, Spec, launch};
use tower::Layer as _;
use tower_session_affinity::{SessionAffinityLayer, header};

/// smg hashes its own header without a flag.
static OWN_HEADER: Spec = Spec {
    program: "smg",
    header_name: header::X_SMG_ROUTING_KEY,
    launch: |program, setup| launch::smg(program, setup, "consistent_hashing"),
    forwards: false,
};

static SESSION_AFFINITY: Spec = Spec {
    program: "smg",
    header_name: header::X_SESSION_AFFINITY,
    launch: launch::smg_by_session_affinity,
    forwards: false,
};

#[tokio::test]
async fn every_key_stays_on_one_replica() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&SESSION_AFFINITY).await
}

#[tokio::test]
async fn requests_without_a_key_are_spread_over_all_replicas() -> io::Result<()> {
    suite::requests_without_a_key_are_spread_over_all_replicas(&SESSION_AFFINITY).await
}

#[tokio::test]
async fn the_gateway_gets_one_header_line_whatever_the_caller_wrote() -> io::Result<()> {
    suite::the_gateway_gets_one_header_line_whatever_the_caller_wrote(&SESSION_AFFINITY).await
}

#[tokio::test]
async fn when_a_replica_dies_only_its_keys_move_and_return_with_it() -> io::Result<()> {
    suite::when_a_replica_dies_only_its_keys_move_and_return_with_it(&SESSION_AFFINITY, 0).await
}

#[tokio::test]
async fn its_own_header_keeps_every_key_on_one_replica_without_the_flag() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&OWN_HEADER).await
}

/// By chance, a quarter of the keys stay on their replica.
#[tokio::test]
async fn without_the_flag_it_ignores_x_session_affinity() -> io::Result<()> {
    let Some(cluster) = Cluster::start(&OWN_HEADER).await? else {
        return Ok(());
    };
    let client = SessionAffinityLayer::new().layer(cluster.bare_client());
    let before = suite::place(&cluster, &client).await;
    let moved = suite::moved(&before, &suite::place(&cluster, &client).await).len();
    suite::report(
        &OWN_HEADER,
        format_args!("x-session-affinity without the flag: {moved} of 1,000 keys moved"),
    );
    assert!(
        moved > 600,
        "{moved} of 1,000 keys moved, expected more than 600"
    );
    Ok(())
}

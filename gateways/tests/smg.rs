//! The SGLang model gateway, `smg`, with its own header name and with ours.

use std::io;
use std::path::Path;
use std::process::Command;

use gateways::suite;
use gateways::{Cluster, Setup, Spec, launch};
use tower::Layer as _;
use tower_session_affinity::{SessionAffinityLayer, header};

/// Its own name needs no flag.
static OWN_NAME: Spec = Spec {
    program: "smg",
    header_name: header::X_SMG_ROUTING_KEY,
    launch: |program, setup| launch::smg(program, setup, "consistent_hashing"),
    forwards: false,
};

static OUR_NAME: Spec = Spec {
    program: "smg",
    header_name: header::X_SESSION_AFFINITY,
    launch: launch_with_our_name,
    forwards: false,
};

fn launch_with_our_name(program: &Path, setup: &Setup) -> Command {
    let mut command = launch::smg(program, setup, "consistent_hashing");
    command.args(["--routing-key-headers", "x-session-affinity"]);
    command
}

#[tokio::test]
async fn every_key_stays_on_one_replica() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&OUR_NAME).await
}

#[tokio::test]
async fn requests_without_a_key_spread() -> io::Result<()> {
    suite::requests_without_a_key_spread(&OUR_NAME).await
}

#[tokio::test]
async fn one_line_leaves_whatever_the_caller_wrote() -> io::Result<()> {
    suite::one_line_leaves_whatever_the_caller_wrote(&OUR_NAME).await
}

#[tokio::test]
async fn a_dead_replica_moves_only_its_keys_and_gets_them_back() -> io::Result<()> {
    suite::a_dead_replica_moves_only_its_keys(&OUR_NAME, 0).await
}

#[tokio::test]
async fn every_key_stays_on_one_replica_under_its_own_name() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&OWN_NAME).await
}

/// Chance alone leaves a quarter of the keys where they were.
#[tokio::test]
async fn our_name_without_the_flag_keeps_no_key_on_its_replica() -> io::Result<()> {
    let Some(cluster) = Cluster::start(&OWN_NAME).await? else {
        return Ok(());
    };
    let client = SessionAffinityLayer::new().layer(cluster.bare_client());
    let before = suite::place(&cluster, &client).await;
    let moved = suite::moved(&before, &suite::place(&cluster, &client).await).len();
    suite::report(
        &OWN_NAME,
        format_args!("our name, no flag: {moved} of 1,000 keys moved"),
    );
    assert!(moved > 600, "{moved} moved");
    Ok(())
}

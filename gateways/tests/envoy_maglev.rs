//! Envoy with a Maglev table.

use std::io;

use gateways::suite;
use gateways::{Spec, launch};
use tower_session_affinity::header;

static ENVOY: Spec = Spec {
    program: "envoy",
    header_name: header::X_SESSION_AFFINITY,
    launch: |program, setup| launch::envoy(program, setup, include_str!("../envoy-maglev.yaml")),
    forwards: true,
};

#[tokio::test]
async fn every_key_stays_on_one_replica() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&ENVOY).await
}

#[tokio::test]
async fn requests_without_a_key_spread() -> io::Result<()> {
    suite::requests_without_a_key_spread(&ENVOY).await
}

#[tokio::test]
async fn blank_headers_pile_up_without_the_layer() -> io::Result<()> {
    suite::blank_headers_pile_up_without_the_layer(&ENVOY).await
}

#[tokio::test]
async fn one_line_leaves_whatever_the_caller_wrote() -> io::Result<()> {
    suite::one_line_leaves_whatever_the_caller_wrote(&ENVOY).await
}

#[tokio::test]
async fn a_dead_replica_moves_hardly_more_than_its_keys_and_gets_them_back() -> io::Result<()> {
    // A table of three replicas is not quite the one of four less the dead one's entries.
    suite::a_dead_replica_moves_only_its_keys(&ENVOY, 10).await
}

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
async fn requests_without_a_key_are_spread_over_all_replicas() -> io::Result<()> {
    suite::requests_without_a_key_are_spread_over_all_replicas(&ENVOY).await
}

#[tokio::test]
async fn blank_headers_all_go_to_one_replica_without_the_layer() -> io::Result<()> {
    suite::blank_headers_all_go_to_one_replica_without_the_layer(&ENVOY).await
}

#[tokio::test]
async fn the_gateway_gets_one_header_line_whatever_the_caller_wrote() -> io::Result<()> {
    suite::the_gateway_gets_one_header_line_whatever_the_caller_wrote(&ENVOY).await
}

#[tokio::test]
async fn when_a_replica_dies_few_other_keys_move_and_all_return_with_it() -> io::Result<()> {
    // A Maglev table of three replicas differs from the one of four in a few more entries than the dead one's.
    suite::when_a_replica_dies_only_its_keys_move_and_return_with_it(&ENVOY, 10).await
}

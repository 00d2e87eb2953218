//! HAProxy with `balance hdr(x-session-affinity)` and `hash-type consistent`.

use std::io;

use gateways::suite;
use gateways::{Spec, launch};
use tower_session_affinity::header;

static HAPROXY: Spec = Spec {
    program: "haproxy",
    header_name: header::X_SESSION_AFFINITY,
    launch: |program, setup| launch::haproxy(program, setup, include_str!("../haproxy.cfg")),
    forwards: true,
};

#[tokio::test]
async fn every_key_stays_on_one_replica() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&HAPROXY).await
}

#[tokio::test]
async fn requests_without_a_key_are_spread_over_all_replicas() -> io::Result<()> {
    suite::requests_without_a_key_are_spread_over_all_replicas(&HAPROXY).await
}

#[tokio::test]
async fn the_gateway_gets_one_header_line_whatever_the_caller_wrote() -> io::Result<()> {
    suite::the_gateway_gets_one_header_line_whatever_the_caller_wrote(&HAPROXY).await
}

#[tokio::test]
async fn when_a_replica_dies_only_its_keys_move_and_return_with_it() -> io::Result<()> {
    suite::when_a_replica_dies_only_its_keys_move_and_return_with_it(&HAPROXY, 0).await
}

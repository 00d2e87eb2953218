//! nginx with `hash $affinity consistent`.

use std::io;

use gateways::suite;
use gateways::{Spec, launch};
use tower_session_affinity::header;

static NGINX: Spec = Spec {
    program: "nginx",
    header_name: header::X_SESSION_AFFINITY,
    launch: |program, setup| launch::nginx(program, setup, include_str!("../nginx.conf")),
    forwards: true,
};

#[tokio::test]
async fn every_key_stays_on_one_replica() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&NGINX).await
}

#[tokio::test]
async fn requests_without_a_key_are_spread_over_all_replicas() -> io::Result<()> {
    suite::requests_without_a_key_are_spread_over_all_replicas(&NGINX).await
}

#[tokio::test]
async fn the_gateway_gets_one_header_line_whatever_the_caller_wrote() -> io::Result<()> {
    suite::the_gateway_gets_one_header_line_whatever_the_caller_wrote(&NGINX).await
}

#[tokio::test]
async fn when_a_replica_dies_only_its_keys_move_and_return_with_it() -> io::Result<()> {
    suite::when_a_replica_dies_only_its_keys_move_and_return_with_it(&NGINX, 0).await
}

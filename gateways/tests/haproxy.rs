//! HAProxy with `balance hdr(…)` and `hash-type consistent`.

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
async fn requests_without_a_key_spread() -> io::Result<()> {
    suite::requests_without_a_key_spread(&HAPROXY).await
}

#[tokio::test]
async fn one_line_leaves_whatever_the_caller_wrote() -> io::Result<()> {
    suite::one_line_leaves_whatever_the_caller_wrote(&HAPROXY).await
}

#[tokio::test]
async fn a_dead_replica_moves_only_its_keys_and_gets_them_back() -> io::Result<()> {
    suite::a_dead_replica_moves_only_its_keys(&HAPROXY, 0).await
}

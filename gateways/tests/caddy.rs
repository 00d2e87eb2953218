//! Caddy with `lb_policy header X-Session-Affinity`.

use std::io;
use std::path::Path;
use std::process::Command;

use gateways::suite;
use gateways::{Setup, Spec};
use tower_session_affinity::header;

static CADDY: Spec = Spec {
    program: "caddy",
    header_name: header::X_SESSION_AFFINITY,
    launch,
    forwards: true,
};

fn launch(program: &Path, setup: &Setup) -> Command {
    let mut command = Command::new(program);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(setup.write(include_str!("../Caddyfile"), 18084))
        // Caddy writes its files into the test's folder.
        .env("HOME", &setup.folder);
    command
}

#[tokio::test]
async fn every_key_stays_on_one_replica() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&CADDY).await
}

#[tokio::test]
async fn requests_without_a_key_are_spread_over_all_replicas() -> io::Result<()> {
    suite::requests_without_a_key_are_spread_over_all_replicas(&CADDY).await
}

#[tokio::test]
async fn the_gateway_gets_one_header_line_whatever_the_caller_wrote() -> io::Result<()> {
    suite::the_gateway_gets_one_header_line_whatever_the_caller_wrote(&CADDY).await
}

#[tokio::test]
async fn when_a_replica_dies_only_its_keys_move_and_return_with_it() -> io::Result<()> {
    suite::when_a_replica_dies_only_its_keys_move_and_return_with_it(&CADDY, 0).await
}

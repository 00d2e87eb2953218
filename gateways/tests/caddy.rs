//! Caddy with `lb_policy header …`.

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
        // It keeps its files with the test's.
        .env("HOME", &setup.folder);
    command
}

#[tokio::test]
async fn every_key_stays_on_one_replica() -> io::Result<()> {
    suite::every_key_stays_on_one_replica(&CADDY).await
}

#[tokio::test]
async fn requests_without_a_key_spread() -> io::Result<()> {
    suite::requests_without_a_key_spread(&CADDY).await
}

#[tokio::test]
async fn one_line_leaves_whatever_the_caller_wrote() -> io::Result<()> {
    suite::one_line_leaves_whatever_the_caller_wrote(&CADDY).await
}

#[tokio::test]
async fn a_dead_replica_moves_only_its_keys_and_gets_them_back() -> io::Result<()> {
    suite::a_dead_replica_moves_only_its_keys(&CADDY, 0).await
}

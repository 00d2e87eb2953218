//! Commands for gateways that more than one test starts.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Setup;

/// Builds a command that runs nginx as one process in the foreground.
///
/// # Panics
///
/// If [`Setup::write`] does.
#[must_use]
pub fn nginx(program: &Path, setup: &Setup, published: &str) -> Command {
    let settings = "daemon off; master_process off; pid nginx.pid; error_log stderr warn;";
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(&setup.folder)
        .arg("-c")
        .arg(setup.write(published, 18081))
        .args(["-g", settings]);
    command
}

/// Builds a command that runs HAProxy as one process in the foreground, so that it ends with the test.
///
/// # Panics
///
/// If [`Setup::write`] does.
#[must_use]
pub fn haproxy(program: &Path, setup: &Setup, published: &str) -> Command {
    let mut command = Command::new(program);
    command
        .arg("-db")
        .arg("-f")
        .arg(setup.write(published, 18082));
    command
}

/// Builds a command that runs Envoy with a configuration in YAML.
///
/// # Panics
///
/// If [`Setup::write`] does.
#[must_use]
pub fn envoy(program: &Path, setup: &Setup, published: &str) -> Command {
    let file = setup.write(published, 18083);
    // Envoy recognizes the format by the file extension.
    let yaml = file.with_extension("yaml");
    fs::rename(file, &yaml).expect("the file was written a moment ago");
    let mut command = Command::new(program);
    command
        .arg("--config-path")
        .arg(yaml)
        .args(["--concurrency", "1"])
        .args(["--log-level", "warning"])
        // Hot restart uses shared memory, for which two Envoys on a machine would need different ids.
        .arg("--disable-hot-restart");
    command
}

/// Builds a command that runs the gateway on Pingora, whose source is in `pingora/`.
#[must_use]
pub fn pingora(program: &Path, setup: &Setup) -> Command {
    let mut command = Command::new(program);
    command.arg(setup.listen.to_string());
    command.args(setup.replicas.iter().map(ToString::to_string));
    command
}

/// Returns a published configuration with one commented-out line enabled.
fn with_line(published: &str, line: &str) -> String {
    let comment = format!("# {line}");
    assert!(
        published.contains(&comment),
        "the configuration does not contain the line {comment}"
    );
    published.replace(&comment, line)
}

/// Returns `haproxy.cfg` with a bound on the concurrent requests of a replica.
#[must_use]
pub fn bounded_haproxy() -> String {
    with_line(include_str!("../haproxy.cfg"), "hash-balance-factor 150")
}

/// Returns `envoy-maglev.yaml` with a bound on the concurrent requests of a replica.
#[must_use]
pub fn bounded_maglev() -> String {
    let line = "consistent_hashing_lb_config: { hash_balance_factor: 150 }";
    with_line(include_str!("../envoy-maglev.yaml"), line)
}

/// Returns `envoy-ring-hash.yaml` with a bound on the concurrent requests of a replica.
#[must_use]
pub fn bounded_ring() -> String {
    let line = "common_lb_config: { consistent_hashing_lb_config: { hash_balance_factor: 150 } }";
    with_line(include_str!("../envoy-ring-hash.yaml"), line)
}

/// Builds a command that runs smg with this policy.
#[must_use]
pub fn smg(program: &Path, setup: &Setup, policy: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("launch");
    router(&mut command, setup, policy);
    command
}

/// Builds a command that runs smg so that it hashes `x-session-affinity`.
#[must_use]
pub fn smg_by_session_affinity(program: &Path, setup: &Setup) -> Command {
    let mut command = smg(program, setup, "consistent_hashing");
    command.args(["--routing-key-headers", "x-session-affinity"]);
    command
}

/// Builds a command that runs vllm-router with this policy.
#[must_use]
pub fn vllm_router(program: &Path, setup: &Setup, policy: &str) -> Command {
    let mut command = Command::new(program);
    router(&mut command, setup, policy);
    command
}

/// Adds the flags that smg and vllm-router share.
fn router(command: &mut Command, setup: &Setup, policy: &str) {
    command
        .args(["--host", "127.0.0.1", "--policy", policy])
        .args(["--port", &setup.listen.port().to_string()])
        .args(["--prometheus-port", &setup.metrics.port().to_string()])
        .arg("--worker-urls")
        .args(setup.urls())
        .args(["--worker-startup-check-interval", "1"])
        // By default, a replica that came back gets no requests for a minute.
        .args(["--health-check-interval-secs", "2"])
        .args(["--cb-timeout-duration-secs", "3"])
        // By default, a replica counts as dead after ten failures, but a request fails after five tries.
        .args(["--cb-failure-threshold", "3"]);
}

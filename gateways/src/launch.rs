//! The command lines that more than one test starts a gateway with.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Setup;

/// nginx, in one process in the foreground.
///
/// # Panics
///
/// As [`Setup::write`].
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

/// HAProxy, in one process in the foreground, so that it ends with the test.
///
/// # Panics
///
/// As [`Setup::write`].
#[must_use]
pub fn haproxy(program: &Path, setup: &Setup, published: &str) -> Command {
    let mut command = Command::new(program);
    command
        .arg("-db")
        .arg("-f")
        .arg(setup.write(published, 18082));
    command
}

/// Envoy, with a configuration in YAML.
///
/// # Panics
///
/// As [`Setup::write`].
#[must_use]
pub fn envoy(program: &Path, setup: &Setup, published: &str) -> Command {
    let file = setup.write(published, 18083);
    // Envoy goes by the ending of the name.
    let yaml = file.with_extension("yaml");
    fs::rename(file, &yaml).expect("the file was written a moment ago");
    let mut command = Command::new(program);
    command
        .arg("--config-path")
        .arg(yaml)
        .args(["--concurrency", "1"])
        .args(["--log-level", "warning"])
        // No shared memory, of which two processes on a machine would need two ids.
        .arg("--disable-hot-restart");
    command
}

/// The gateway on Pingora, whose source is in `pingora/`.
#[must_use]
pub fn pingora(program: &Path, setup: &Setup) -> Command {
    let mut command = Command::new(program);
    command.arg(setup.listen.to_string());
    command.args(setup.replicas.iter().map(ToString::to_string));
    command
}

/// A published configuration with a line that it has as a comment.
fn with_line(published: &str, line: &str) -> String {
    let comment = format!("# {line}");
    assert!(
        published.contains(&comment),
        "no {comment} in the configuration"
    );
    published.replace(&comment, line)
}

/// `haproxy.cfg` with a bound on what a replica gets at once.
#[must_use]
pub fn bounded_haproxy() -> String {
    with_line(include_str!("../haproxy.cfg"), "hash-balance-factor 150")
}

/// `envoy-maglev.yaml` with a bound on what a replica gets at once.
#[must_use]
pub fn bounded_maglev() -> String {
    let line = "consistent_hashing_lb_config: { hash_balance_factor: 150 }";
    with_line(include_str!("../envoy-maglev.yaml"), line)
}

/// `envoy-ring-hash.yaml` with a bound on what a replica gets at once.
#[must_use]
pub fn bounded_ring() -> String {
    let line = "common_lb_config: { consistent_hashing_lb_config: { hash_balance_factor: 150 } }";
    with_line(include_str!("../envoy-ring-hash.yaml"), line)
}

/// smg, with this policy.
#[must_use]
pub fn smg(program: &Path, setup: &Setup, policy: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("launch");
    router(&mut command, setup, policy);
    command
}

/// vllm-router, with this policy.
#[must_use]
pub fn vllm_router(program: &Path, setup: &Setup, policy: &str) -> Command {
    let mut command = Command::new(program);
    router(&mut command, setup, policy);
    command
}

/// The flags that smg and vllm-router share.
fn router(command: &mut Command, setup: &Setup, policy: &str) {
    command
        .args(["--host", "127.0.0.1", "--policy", policy])
        .args(["--port", &setup.listen.port().to_string()])
        .args(["--prometheus-port", &setup.metrics.port().to_string()])
        .arg("--worker-urls")
        .args(setup.urls())
        .args(["--worker-startup-check-interval", "1"])
        // By default a replica that came back is left alone for a minute.
        .args(["--health-check-interval-secs", "2"])
        .args(["--cb-timeout-duration-secs", "3"])
        // By default a replica counts as dead after ten failures, and a request is given up after five.
        .args(["--cb-failure-threshold", "3"]);
}

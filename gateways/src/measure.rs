//! Runs the probe against a real engine, and compares its report with the engine's own counters.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::engine::{Counters, Engine, Kind, Launch, Programs};
use crate::process::installed;
use crate::{Setup, launch};

/// The servers, the gateway and the size of an experiment.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name in the output and in the table of the guide.
    pub name: &'static str,
    /// The kind of server.
    pub kind: Kind,
    /// How many servers.
    pub servers: usize,
    /// Extra arguments of each server.
    pub arguments: &'static [&'static str],
    /// The name of the gateway's program; `None` sends all requests to the first server.
    pub gateway: Option<&'static str>,
    /// Builds the gateway's command line.
    pub launch: Launch,
    /// The arguments of the probe.
    pub size: &'static [&'static str],
}

/// Eight conversations of six turns, each once without a key and once with one: 96 requests.
pub const EIGHT_CHATS: &[&str] = &[
    "--conversations",
    "8",
    "--turns",
    "6",
    "--prefix-tokens",
    "100",
];

/// A chat template that puts a hundred rules before every conversation.
pub const LONG_SYSTEM_PROMPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/long_system_prompt.jinja"
);

/// Builds a command that runs nginx with [`nginx_conf`].
///
/// # Panics
///
/// If [`Setup::write`] does.
#[must_use]
pub fn nginx(program: &Path, setup: &Setup) -> Command {
    launch::nginx(program, setup, &nginx_conf())
}

/// Returns the published `nginx.conf` with a response header that tells the probe which server answered.
#[must_use]
pub fn nginx_conf() -> String {
    include_str!("../nginx.conf").replace(
        "proxy_buffering off;",
        "proxy_buffering off; add_header X-Replica $upstream_addr;",
    )
}

/// Runs the probe and returns its report, after checking it against the engine's counters.
///
/// Returns `None` if a program is missing or the processor cannot run the server.
///
/// # Errors
///
/// Returns an error if a program does not start or a server does not have the counters.
///
/// # Panics
///
/// If the probe fails, or if it does not report the tokens that the servers count.
pub async fn measure(case: &Case) -> io::Result<Option<Value>> {
    let Some(programs) = Programs::find(case.kind, case.gateway) else {
        return Ok(None);
    };
    build_probe();
    let started = Instant::now();
    let engine = Engine::start(&programs, case.servers, case.arguments, case.launch).await?;
    let Some(engine) = engine else {
        return Ok(None);
    };
    let _ = writeln!(
        io::stderr(),
        "{}: servers up in {:.0?}",
        case.name,
        started.elapsed()
    );
    let before = engine.counters().await?;
    let started = Instant::now();
    let url = format!("http://{}/v1/chat/completions", engine.address);
    let report = probe(case, &url);
    tell(case, &report, started.elapsed());
    assert_eq!(report["ended"], "complete");
    let reported = reported(&report);
    let counted = engine.settled(before, reported).await?;
    assert_eq!(
        reported, counted,
        "tokens that the probe reports (left), tokens that the engine counts (right)"
    );
    Ok(Some(report))
}

/// Returns the percentage of a report's tokens that came from a cache.
///
/// # Panics
///
/// If the value does not have the counts of a report.
#[must_use]
pub fn share(tokens: &Value) -> f64 {
    100.0 * tokens["cached"].as_f64().unwrap() / tokens["prompt"].as_f64().unwrap()
}

/// Returns the chart of the last measurement of a case.
///
/// # Errors
///
/// Returns an error if the case was never measured.
pub fn chart(case: &Case) -> io::Result<String> {
    fs::read_to_string(results(case).join("engine.svg"))
}

/// Returns the folder that keeps the report and the chart of a case, for the guide.
fn results(case: &Case) -> PathBuf {
    installed("tmp").join(case.name.replace(' ', "-"))
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(arguments);
    cargo
}

/// Builds the probe before the engine starts, so that the two do not compete for the processors.
fn build_probe() {
    let built = cargo(&["build", "--quiet", "--release", "-p", "affinity-probe"]).status();
    assert!(built.unwrap().success(), "the probe does not build");
}

fn probe(case: &Case, url: &str) -> Value {
    let folder = results(case);
    fs::create_dir_all(&folder).unwrap();
    let (json, svg) = (folder.join("engine.json"), folder.join("engine.svg"));
    let mut probe = cargo(&["run", "--quiet", "--release", "-p", "affinity-probe", "--"]);
    probe
        .args(["--url", url, "--model", "m", "--yes", "--json"])
        .arg(&json)
        .arg("--svg")
        .arg(&svg)
        .args(case.size);
    let output = probe.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let _ = writeln!(io::stderr(), "{}: {probe:?}\n{text}", case.name);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the probe ended with {}: {error}",
        output.status
    );
    serde_json::from_slice(&fs::read(json).unwrap()).unwrap()
}

/// Adds up the tokens of both variants.
fn reported(report: &Value) -> Counters {
    let mut sum = Counters::default();
    for variant in report["variants"].as_array().unwrap() {
        assert_eq!(
            variant["failures"], 0,
            "failed requests in {}",
            variant["variant"]
        );
        let prompt = variant["tokens"]["prompt"].as_u64().unwrap();
        let cached = variant["tokens"]["cached"].as_u64().unwrap();
        sum += Counters {
            computed: prompt - cached,
            cached,
        };
    }
    sum
}

/// Prints the rows of the guide's table.
fn tell(case: &Case, report: &Value, elapsed: Duration) {
    for variant in report["variants"].as_array().unwrap() {
        let tokens = &variant["tokens"];
        let computed = tokens["prompt"].as_u64().unwrap() - tokens["cached"].as_u64().unwrap();
        let _ = writeln!(
            io::stderr(),
            "| {} | {} | {computed} | {} | {:.1} % | {:.1} % | {:.0} ms | {:.1} |",
            case.name,
            variant["variant"].as_str().unwrap(),
            tokens["cached"],
            share(tokens),
            share(&variant["tokens_from_turn_2"]),
            variant["ttft_ms_from_turn_2"]["p50"]
                .as_f64()
                .unwrap_or(f64::NAN),
            variant["replicas_per_conversation"]
                .as_f64()
                .unwrap_or(f64::NAN),
        );
    }
    let _ = writeln!(io::stderr(), "{} ({elapsed:.0?})", report["verdict"]);
}

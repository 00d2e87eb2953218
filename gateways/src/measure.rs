//! The probe against a real engine: what it reports is what the engine counts.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::engine::{Counters, Engine, Kind, Launch, Programs};
use crate::process::installed;
use crate::{Setup, launch};

/// A case: which servers, which gateway, and how large the experiment is.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What the table in the README calls it.
    pub name: &'static str,
    /// The kind of server.
    pub kind: Kind,
    /// How many servers.
    pub servers: usize,
    /// Further arguments of each server.
    pub arguments: &'static [&'static str],
    /// The name of the gateway's program; without one there is one server.
    pub gateway: Option<&'static str>,
    /// Makes the gateway's command line.
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

/// nginx with [`nginx_conf`].
///
/// # Panics
///
/// As [`Setup::write`].
#[must_use]
pub fn nginx(program: &Path, setup: &Setup) -> Command {
    launch::nginx(program, setup, &nginx_conf())
}

/// The published `nginx.conf`, and the header in which the probe reads who answered.
#[must_use]
pub fn nginx_conf() -> String {
    include_str!("../nginx.conf").replace(
        "proxy_buffering off;",
        "proxy_buffering off; add_header X-Replica $upstream_addr;",
    )
}

/// Runs the probe against a case and returns its report, once the engine has confirmed it.
///
/// Returns `None` where a program is missing.
///
/// # Errors
///
/// If a program does not start or a server does not count.
///
/// # Panics
///
/// If the probe fails, or reports other tokens than the servers count.
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
    let _ = writeln!(io::stderr(), "up in {:.0?}", started.elapsed());
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
        "what the probe reports, what the engine counts"
    );
    Ok(Some(report))
}

/// Returns the percentage of a report's tokens that came from a cache.
///
/// # Panics
///
/// If these are not the tokens of a report.
#[must_use]
pub fn share(tokens: &Value) -> f64 {
    100.0 * tokens["cached"].as_f64().unwrap() / tokens["prompt"].as_f64().unwrap()
}

fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(arguments);
    cargo
}

/// Before the engine starts, so that the two do not share the processors.
fn build_probe() {
    let built = cargo(&["build", "--quiet", "--release", "-p", "affinity-probe"]).status();
    assert!(built.unwrap().success());
}

fn probe(case: &Case, url: &str) -> Value {
    // Kept for the README: the chart and every request.
    let folder = installed("tmp").join(case.name.replace(' ', "-"));
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
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
    serde_json::from_slice(&fs::read(json).unwrap()).unwrap()
}

/// Adds up both arms.
fn reported(report: &Value) -> Counters {
    let mut sum = Counters::default();
    for arm in report["arms"].as_array().unwrap() {
        assert_eq!(arm["failures"], 0);
        let prompt = arm["tokens"]["prompt"].as_u64().unwrap();
        let cached = arm["tokens"]["cached"].as_u64().unwrap();
        sum += Counters {
            computed: prompt - cached,
            cached,
        };
    }
    sum
}

/// Writes the rows of the README's table.
fn tell(case: &Case, report: &Value, elapsed: Duration) {
    for arm in report["arms"].as_array().unwrap() {
        let tokens = &arm["tokens"];
        let computed = tokens["prompt"].as_u64().unwrap() - tokens["cached"].as_u64().unwrap();
        let _ = writeln!(
            io::stderr(),
            "| {} | {} | {computed} | {} | {:.1} % | {:.1} % | {:.0} ms | {:.1} |",
            case.name,
            arm["arm"].as_str().unwrap(),
            tokens["cached"],
            share(tokens),
            share(&arm["tokens_from_turn_2"]),
            arm["ttft_ms_from_turn_2"]["p50"]
                .as_f64()
                .unwrap_or(f64::NAN),
            arm["replicas_per_conversation"]
                .as_f64()
                .unwrap_or(f64::NAN),
        );
    }
    let _ = writeln!(io::stderr(), "{} ({elapsed:.0?})", report["verdict"]);
}

//! The probe against llama.cpp's server: what it says is what the engine counts.
//!
//! One case runs with the other tests. The others take minutes and are asked for:
//! `cargo test -p gateways --test engine -- --ignored --nocapture --test-threads 1`.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use gateways::engine::{Counters, Engine, Launch, Programs};
use gateways::launch;
use serde_json::Value;

/// A case: which servers, which gateway, and how large the experiment is.
struct Case {
    name: &'static str,
    servers: usize,
    arguments: &'static [&'static str],
    gateway: Option<&'static str>,
    launch: Launch,
    size: &'static [&'static str],
}

/// Eight conversations of six turns, each once without a key and once with one: 96 requests.
const EIGHT_CHATS: &[&str] = &[
    "--conversations",
    "8",
    "--turns",
    "6",
    "--prefix-tokens",
    "100",
];

const NGINX: Case = Case {
    name: "four servers behind nginx",
    servers: 4,
    arguments: &[],
    gateway: Some("nginx"),
    launch: |program, setup| launch::nginx(program, setup, &with_replica_header()),
    size: EIGHT_CHATS,
};

/// A chat template that puts a hundred rules before every conversation.
const LONG_SYSTEM_PROMPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/long_system_prompt.jinja"
);

/// The published configuration, and the header in which the probe reads who answered.
fn with_replica_header() -> String {
    let published = include_str!("../nginx.conf");
    published.replace(
        "proxy_buffering off;",
        "proxy_buffering off; add_header X-Replica $upstream_addr;",
    )
}

/// Runs the probe against a case and returns its report, once the engine has confirmed it.
///
/// Returns `None` where a program is missing.
async fn measure(case: &Case) -> io::Result<Option<Value>> {
    let Some(programs) = Programs::find(case.gateway) else {
        return Ok(None);
    };
    build_probe();
    let started = Engine::start(&programs, case.servers, case.arguments, case.launch).await;
    let engine = match started {
        // No installation mends that, so this is not for REQUIRE_GATEWAYS.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            let why = "this llama-server uses instructions (AVX-512) that the processor has not";
            let _ = writeln!(io::stderr(), "skipped: {why}");
            return Ok(None);
        }
        started => started?,
    };
    let before = engine.counters().await?;
    let started = Instant::now();
    let report = probe(
        case,
        &format!("http://{}/v1/chat/completions", engine.address),
    );
    tell(case, &report, started.elapsed());
    assert_eq!(report["ended"], "complete");
    let reported = reported(&report);
    let counted = settled(&engine, before, reported).await?;
    assert_eq!(
        reported, counted,
        "what the probe reports, what the engine counts"
    );
    Ok(Some(report))
}

/// Returns what the engine counted, which it does a moment after an answer has ended.
async fn settled(engine: &Engine, before: Counters, expected: Counters) -> io::Result<Counters> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let counted = engine.counters().await? - before;
        if counted == expected || Instant::now() > deadline {
            return Ok(counted);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(case.name.replace(' ', "-"));
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
            "| {} | {} | {computed} | {:.1} % | {:.1} % | {:.0} ms | {:.1} |",
            case.name,
            arm["arm"].as_str().unwrap(),
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

fn share(tokens: &Value) -> f64 {
    100.0 * tokens["cached"].as_f64().unwrap() / tokens["prompt"].as_f64().unwrap()
}

#[tokio::test]
async fn behind_nginx_the_key_pays_and_the_engine_counts_the_same_tokens() -> io::Result<()> {
    if let Some(report) = measure(&NGINX).await? {
        assert_eq!(report["verdict"]["finding"], "honoured");
        assert_eq!(report["arms"][1]["replicas_per_conversation"], 1.0);
    }
    Ok(())
}

#[tokio::test]
#[ignore = "it takes minutes"]
async fn one_server_needs_no_key() -> io::Result<()> {
    let case = Case {
        name: "one server",
        servers: 1,
        gateway: None,
        ..NGINX
    };
    if let Some(report) = measure(&case).await? {
        assert_eq!(report["verdict"]["finding"], "unneeded");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "it takes minutes"]
async fn a_router_that_looks_at_the_prompt_needs_no_key() -> io::Result<()> {
    let case = Case {
        name: "four servers behind smg cache_aware",
        gateway: Some("smg"),
        launch: |program, setup| launch::smg(program, setup, "cache_aware"),
        ..NGINX
    };
    if let Some(report) = measure(&case).await? {
        assert_eq!(report["verdict"]["finding"], "unneeded");
    }
    Ok(())
}

/// A server with one slot and no cache on the host holds one conversation, and four share it.
#[tokio::test]
#[ignore = "it takes minutes"]
async fn fewer_slots_than_conversations_leave_little_to_gain() -> io::Result<()> {
    let case = Case {
        name: "one slot a server, no host cache",
        arguments: &["--parallel", "1", "--cache-ram", "0"],
        ..NGINX
    };
    if let Some(report) = measure(&case).await? {
        let with_key = share(&report["arms"][1]["tokens"]);
        assert!(with_key < 50.0, "{with_key} %");
    }
    Ok(())
}

/// Most of each prompt is then the same for all, and each server soon has it.
#[tokio::test]
#[ignore = "it takes minutes"]
async fn a_long_shared_system_prompt_leaves_little_to_gain() -> io::Result<()> {
    let case = Case {
        name: "long shared system prompt",
        arguments: &[
            "--ctx-size",
            "16384",
            "--jinja",
            "--chat-template-file",
            LONG_SYSTEM_PROMPT,
        ],
        ..NGINX
    };
    if let Some(report) = measure(&case).await? {
        let without_key = share(&report["arms"][0]["tokens"]);
        assert!(without_key > 50.0, "{without_key} %");
    }
    Ok(())
}

//! Runs without `--url`, against the simulation.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{probe, run};

/// Runs a short simulation; returns its output and its JSON.
fn measured(args: &[&str]) -> (String, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.json");
    let mut command = probe(&["--prefix-tokens=400", "--max-tokens=4"]);
    command.args(args).arg("--json").arg(&path);
    let ran = run(command);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
    (ran.out, json(&path))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("written")).expect("JSON")
}

fn finding(json: &Value) -> &str {
    json["verdict"]["finding"].as_str().expect("a finding")
}

#[test]
fn without_options_the_simulation_runs_and_honors_the_key() {
    let ran = run(probe(&[]));
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (Some(0), ""),
        "there is no progress bar without a terminal"
    );
    assert!(
        ran.out
            .starts_with("Simulation on this machine: 4 replicas behind a gateway"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("\nVerdict: this endpoint honors x-session-affinity. "),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("paired permutation test over 8 conversations"),
        "{}",
        ran.out
    );
}

#[test]
fn a_name_that_the_gateway_does_not_read_is_ignored() {
    let (out, json) = measured(&["--header-name", "x-session-id"]);
    assert_eq!(finding(&json), "ignored");
    assert!(
        out.contains("\nVerdict: x-session-id is ignored. "),
        "{out}"
    );
}

#[test]
fn a_single_replica_needs_no_key() {
    let (out, json) = measured(&["--replicas=1"]);
    assert_eq!(finding(&json), "not_needed");
    assert!(
        out.contains("there is one replica, or a prefix-cache-aware router. "),
        "{out}"
    );
}

#[test]
fn caches_that_are_too_small_are_not_mistaken_for_an_ignored_key() {
    let (out, json) = measured(&["--prefix-tokens=20000", "--turns=2", "--concurrency=8"]);
    assert_eq!(finding(&json), "not_cached", "{out}");
}

#[test]
fn the_json_has_every_request_and_the_table_their_sums() {
    let (out, json) = measured(&["--turns=3"]);
    let requests = json["requests"].as_array().expect("requests");
    assert_eq!(requests.len(), 2 * 8 * 3);
    assert_eq!(json["simulated"], true);
    for variant in json["variants"].as_array().expect("variants") {
        let of_variant = requests
            .iter()
            .filter(|request| request["variant"] == variant["variant"]);
        let sum = |name: &str| {
            of_variant
                .clone()
                .map(|request| request[name].as_u64().expect("a number"))
                .sum::<u64>()
        };
        assert_eq!(variant["requests"], 24);
        assert_eq!(variant["tokens"]["prompt"], sum("prompt_tokens"));
        assert_eq!(variant["tokens"]["cached"], sum("cached_tokens"));
        let cached = variant["tokens"]["cached"].as_u64().expect("a number");
        assert!(
            out.contains(&format!("{},{:03}", cached / 1000, cached % 1000)),
            "{out}"
        );
    }
    for request in requests {
        assert!(
            request["ttft_ms"].as_f64() <= request["total_ms"].as_f64(),
            "{request}"
        );
        let [ttft, prompt, cached] = ["ttft_ms", "prompt_tokens", "cached_tokens"]
            .map(|name| request[name].as_f64().expect("a number"));
        let prefill = 0.1 * (prompt - cached);
        assert!(
            ttft >= prefill,
            "the first token came before the prompt was read: {request}"
        );
        assert!(
            request["replica"]
                .as_str()
                .is_some_and(|name| name.starts_with("replica-"))
        );
        if request["turn"] == 1 {
            assert_eq!(
                request["cached_tokens"], 0,
                "a first turn has cached tokens: {request}"
            );
        }
    }
}

#[test]
fn the_variants_are_interleaved_in_a_different_order_each_turn() {
    let (_, json) = measured(&["--concurrency=1", "--turns=3"]);
    let mut orders: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for request in json["requests"].as_array().expect("requests") {
        let turn = request["turn"].as_u64().expect("a turn");
        orders.entry(turn).or_default().push(format!(
            "{} {}",
            request["variant"], request["conversation"]
        ));
    }
    let orders: Vec<_> = orders.into_values().collect();
    assert!(orders[0] != orders[1] && orders[1] != orders[2] && orders[0] != orders[2]);
    for order in orders {
        let changes = order
            .windows(2)
            .filter(|pair| pair[0].split(' ').next() != pair[1].split(' ').next());
        assert!(changes.count() >= 3, "{order:?}");
    }
}

#[test]
fn runs_with_one_request_at_a_time_measure_the_same_tokens() {
    let tokens = || {
        let (_, json) = measured(&["--concurrency=1", "--turns=3"]);
        json["variants"]
            .as_array()
            .expect("variants")
            .iter()
            .map(|variant| variant["tokens"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(tokens(), tokens());
}

#[test]
fn the_chart_is_svg_with_a_line_for_each_variant() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.svg");
    let mut command = probe(&["--prefix-tokens=400", "--turns=3"]);
    command.arg("--svg").arg(&path);
    assert_eq!(run(command).code, Some(0));

    let svg = fs::read_to_string(&path).expect("written");
    let document = roxmltree::Document::parse(&svg).expect("XML");
    let texts: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .collect();
    let texts: Vec<_> = texts
        .iter()
        .filter_map(roxmltree::Node::text)
        .map(str::trim)
        .collect();
    for expected in [
        "with key",
        "without key",
        "turn of the conversation",
        "100 %",
    ] {
        assert!(texts.contains(&expected), "{texts:?}");
    }
    let marks = |name| {
        document
            .descendants()
            .filter(|node| node.has_tag_name(name))
            .count()
    };
    assert_eq!(
        (marks("circle"), marks("polygon")),
        (3, 3),
        "expected a mark for each turn of each variant"
    );
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
    let mut command = probe(&["--prefix-tokens=32", "--turns=2", "--max-tokens=1"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ended");
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), err.as_ref()), (Some(0), ""));
}

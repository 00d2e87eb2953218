//! The embedded default.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{probe, run};

/// A short run, with its table and its JSON.
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
fn with_nothing_given_the_key_is_honoured_and_what_is_simulated_says_so() {
    let ran = run(probe(&[]));
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (Some(0), ""),
        "no progress bar without a terminal"
    );
    assert!(
        ran.out
            .starts_with("Simulated on this machine: 4 replicas behind a gateway"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("came from cache, without it"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains(": this endpoint honours x-session-affinity\n"),
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
fn a_name_that_the_gateway_does_not_read_is_found_to_be_ignored() {
    let (out, json) = measured(&["--header-name", "x-session-id"]);
    assert_eq!(finding(&json), "ignored");
    assert!(
        out.contains("both low (") && out.contains("): x-session-id is ignored\n"),
        "{out}"
    );
}

#[test]
fn a_single_replica_is_found_to_need_no_key() {
    let (out, json) = measured(&["--replicas=1"]);
    assert_eq!(finding(&json), "unneeded");
    assert!(
        out.contains("): one replica, or a router that looks at the prompt itself\n"),
        "{out}"
    );
}

#[test]
fn caches_that_hold_no_conversation_are_not_mistaken_for_a_key_that_is_ignored() {
    let (out, json) = measured(&["--prefix-tokens=20000", "--turns=2", "--concurrency=8"]);
    assert_eq!(finding(&json), "fruitless", "{out}");
}

#[test]
fn the_json_has_every_request_and_the_table_is_their_sum() {
    let (out, json) = measured(&["--turns=3"]);
    let requests = json["requests"].as_array().expect("requests");
    assert_eq!(requests.len(), 2 * 8 * 3);
    assert_eq!(json["simulated"], true);
    for arm in json["arms"].as_array().expect("arms") {
        let of_arm = requests
            .iter()
            .filter(|request| request["arm"] == arm["arm"]);
        let sum = |name: &str| {
            of_arm
                .clone()
                .map(|request| request[name].as_u64().expect("a number"))
                .sum::<u64>()
        };
        assert_eq!(arm["requests"], 24);
        assert_eq!(arm["tokens"]["prompt"], sum("prompt_tokens"));
        assert_eq!(arm["tokens"]["cached"], sum("cached_tokens"));
        let cached = arm["tokens"]["cached"].as_u64().expect("a number");
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
            "the first token waits for the prompt: {request}"
        );
        assert!(
            request["replica"]
                .as_str()
                .is_some_and(|name| name.starts_with("replica-"))
        );
        if request["turn"] == 1 {
            assert_eq!(
                request["cached_tokens"], 0,
                "no conversation warms another: {request}"
            );
        }
    }
}

#[test]
fn the_arms_are_interleaved_in_another_order_in_each_turn() {
    let (_, json) = measured(&["--concurrency=1", "--turns=3"]);
    let mut orders: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for request in json["requests"].as_array().expect("requests") {
        let turn = request["turn"].as_u64().expect("a turn");
        orders
            .entry(turn)
            .or_default()
            .push(format!("{} {}", request["arm"], request["conversation"]));
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
fn one_request_at_a_time_measures_the_same_tokens_again() {
    let tokens = || {
        let (_, json) = measured(&["--concurrency=1", "--turns=3"]);
        json["arms"]
            .as_array()
            .expect("arms")
            .iter()
            .map(|arm| arm["tokens"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(tokens(), tokens());
}

#[test]
fn the_chart_is_xml_with_a_line_for_each_arm() {
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
        "a mark for each turn of each arm"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
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

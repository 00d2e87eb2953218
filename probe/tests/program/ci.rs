//! Options for CI: exit codes, Markdown and prices.

use std::fs;
use std::process::Command;

use crate::support::{Server, answer, probe_url, reads, response, run};

/// Runs with options for CI; returns the exit code and standard error.
fn code(name: &'static str, args: &[&str]) -> (Option<i32>, String) {
    let server = Server::start(reads(name));
    let ran = run(probe_url(&server.url(), args));
    assert!(
        ran.out.contains("prompt tokens from cache"),
        "the result is printed in every case"
    );
    (ran.code, ran.err)
}

#[test]
fn a_failed_condition_has_its_own_exit_code() {
    let honored = "x-session-affinity";
    assert_eq!(
        code(honored, &["--fail-if=ignored", "--min-gain=50"]).0,
        Some(0)
    );
    let (failed, why) = code("none", &["--fail-if=ignored"]);
    assert_eq!(failed, Some(3));
    assert!(
        why.ends_with("error: the key is ignored (--fail-if ignored)\n"),
        "{why}"
    );
    assert_eq!(code("none", &["--fail-if=no-gain"]).0, Some(3));
    let (failed, why) = code(honored, &["--min-gain=95"]);
    assert_eq!(failed, Some(3));
    assert!(
        why.ends_with(
            "error: the gain is 90.0 percentage points, less than the required 95 (--min-gain)\n"
        ),
        "{why}"
    );
}

#[test]
fn a_condition_that_cannot_be_checked_has_its_own_exit_code() {
    let server = Server::start(|_, _| answer("null"));
    let ran = run(probe_url(&server.url(), &["--fail-if=ignored"]));
    assert_eq!(ran.code, Some(4), "{}", ran.out);
    assert!(
        ran.err.ends_with(
            "error: the result is inconclusive, so --fail-if and --min-gain cannot be checked\n"
        ),
        "{}",
        ran.err
    );
}

fn markdown(command: &mut Command) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.md");
    command.arg("--markdown").arg(&path);
    command.output().expect("ran");
    fs::read_to_string(path).expect("written")
}

#[test]
fn the_markdown_report_has_the_verdict_and_the_table() {
    let server = Server::start(reads("x-session-affinity"));
    let text = markdown(&mut probe_url(&server.url(), &[]));
    assert!(
        text.starts_with(
            "## affinity-probe\n\n**Verdict: this endpoint honors x-session-affinity. From turn 2 on, 90 % of"
        ),
        "{text}"
    );
    for line in [
        "|  | without key | with key |",
        "|---|--:|--:|",
        "| prompt tokens from cache | 0.0 % | 45.0 % |",
    ] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}

#[test]
fn the_markdown_report_of_a_failed_run_says_why() {
    let server = Server::start(|_, _| response("402 Payment Required", "", "no `credit`\n# none"));
    let text = markdown(&mut probe_url(&server.url(), &[]));
    assert!(text.contains("The run failed:\n\n    the endpoint answered 402 Payment Required: no `credit` # none\n"), "{text}");
}

#[test]
fn prices_add_the_cost_of_a_thousand_conversations() {
    let server = Server::start(reads("x-session-affinity"));
    let ran = run(probe_url(
        &server.url(),
        &["--price-input=3", "--price-cached=0.3"],
    ));
    let row = ran
        .out
        .lines()
        .find(|line| line.starts_with("prompt cost of 1,000 chats"))
        .expect("a row");
    // Two prompts of 1,000 tokens each; with the key, 900 tokens of the second are cached.
    assert_eq!(
        row.split_whitespace().skip(5).collect::<Vec<_>>(),
        ["6.00", "3.57"]
    );
}

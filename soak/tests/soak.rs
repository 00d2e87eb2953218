//! A short soak, and the planted faults that it must find.
//!
//! Runs are bounded by requests, not by time, so that a slow machine finds the same faults.

// The soak reads `/proc`.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

const SOAK: &str = env!("CARGO_BIN_EXE_soak");

fn soak(arguments: &[&str]) -> Output {
    let output = Command::new(SOAK).args(arguments).output();
    output.expect("the program starts")
}

/// Checks that a run with this planted fault fails and reports it.
#[track_caller]
fn assert_found(plant: &str, requests: &str, arguments: &[&str], expected: &str) {
    let run = ["--requests", requests, "--pace", "20", "--plant", plant];
    let output = soak(&[&run, arguments].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let mut faults = text.lines().filter(|line| line.starts_with("fault: "));
    assert_eq!(output.status.code(), Some(1), "expected faults: {text}");
    assert!(
        faults.any(|line| line.contains(expected)),
        "expected a fault with {expected:?}: {text}"
    );
}

#[test]
fn a_short_run_without_planted_faults_passes() {
    let output = soak(&["--requests", "2000"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "expected no faults: {text}{errors}"
    );
    assert!(
        text.ends_with("\nno faults\n"),
        "expected \"no faults\" at the end: {text}"
    );
    // 11 kinds over two protocols, with two lines above them and their sum below.
    let rows = text.lines().filter(|line| line.matches('|').count() == 11);
    assert_eq!(
        rows.count(),
        2 + 11 * 2 + 1,
        "expected a row for each kind: {text}"
    );
}

#[test]
fn a_wrong_key_is_found() {
    assert_found("wrong-key", "500", &[], " wrong keys");
}

#[test]
fn a_panic_is_found() {
    assert_found("panic", "500", &[], " panics");
}

#[test]
fn a_memory_leak_is_found() {
    assert_found("leak", "2000", &[], "memory grew from ");
}

#[test]
fn a_request_that_is_never_answered_is_found() {
    assert_found("hang", "500", &["--patience", "2"], ": Hung");
}

#[test]
fn a_broken_body_accepted_as_complete_is_found() {
    assert_found(
        "truncate",
        "500",
        &[],
        " broken bodies accepted as complete",
    );
}

#[test]
fn an_orphaned_upstream_request_is_found() {
    assert_found("detach", "500", &[], " orphaned upstream requests");
}

#[test]
fn a_leaked_file_descriptor_is_found() {
    assert_found("open", "500", &[], " file descriptors open after the load");
}

#[test]
fn running_out_of_time_before_all_requests_is_a_fault() {
    let output = soak(&["--requests", "1000000", "--seconds", "3"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "expected a fault: {text}");
    assert!(
        text.contains("\nfault: time ran out after "),
        "expected that time ran out: {text}"
    );
    assert!(
        text.contains(" of 1000000 requests; "),
        "expected the requests that were asked for: {text}"
    );
}

#[test]
fn the_gateway_exits_when_its_standard_input_is_closed() {
    let mut gateway = Command::new(SOAK)
        .args(["gateway", "127.0.0.1:9"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let output = gateway.stdout.take().expect("standard output is piped");
    let mut address = String::new();
    let read = BufReader::new(output).read_line(&mut address);
    read.expect("the gateway prints its address");
    assert!(
        address.starts_with("127.0.0.1:"),
        "expected a loopback address, found {address:?}"
    );

    // Waiting closes the pipe.
    let status = gateway.wait().expect("the gateway is a child");
    assert!(status.success(), "expected success, found {status}");
}

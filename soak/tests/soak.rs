//! A short soak, and the faults that it must find.
//!
//! A run ends after so many requests, so that a slow machine finds what a fast one finds.

// The soak reads `/proc`.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

const SOAK: &str = env!("CARGO_BIN_EXE_soak");

fn soak(arguments: &[&str]) -> Output {
    let output = Command::new(SOAK).args(arguments).output();
    output.expect("the program starts")
}

/// Checks that a run with this fault fails and says this.
#[track_caller]
fn assert_found(plant: &str, requests: &str, arguments: &[&str], fault: &str) {
    let run = ["--requests", requests, "--pace", "20", "--plant", plant];
    let output = soak(&[&run, arguments].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let mut faults = text.lines().filter(|line| line.starts_with("fault: "));
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(faults.any(|line| line.contains(fault)), "{text}");
}

#[test]
fn the_gateway_stands_a_short_time_of_load_and_faults() {
    let output = soak(&["--requests", "2000"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.ends_with("\nno faults\n"), "{text}");
    // Two lines are the head of the table and one its sum: 11 kinds over two protocols.
    let rows = text.lines().filter(|line| line.matches('|').count() == 11);
    assert_eq!(rows.count(), 3 + 22, "{text}");
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
fn growing_memory_is_found() {
    assert_found("leak", "2000", &[], "memory grew from ");
}

#[test]
fn a_request_without_an_answer_is_found() {
    assert_found("hang", "500", &["--patience", "2"], ": Hung");
}

#[test]
fn a_broken_body_that_is_passed_off_as_whole_is_found() {
    assert_found(
        "truncate",
        "500",
        &[],
        " broken bodies that arrived as whole ones",
    );
}

#[test]
fn a_request_that_outlives_its_caller_is_found() {
    assert_found(
        "detach",
        "500",
        &[],
        " requests that outlived their callers",
    );
}

#[test]
fn a_file_that_is_left_open_is_found() {
    assert_found("open", "500", &[], " descriptors after the load");
}

#[test]
fn a_time_that_is_too_short_for_the_requests_is_a_fault() {
    let output = soak(&["--requests", "1000000", "--seconds", "3"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("\nfault: time for "), "{text}");
    assert!(text.contains(" of 1000000 requests\n"), "{text}");
}

#[test]
fn the_gateway_ends_with_its_standard_input() {
    let mut gateway = Command::new(SOAK)
        .args(["gateway", "127.0.0.1:9"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let output = gateway.stdout.take().expect("it is piped");
    let mut address = String::new();
    let read = BufReader::new(output).read_line(&mut address);
    read.expect("the gateway says where it listens");
    assert!(address.starts_with("127.0.0.1:"), "{address}");

    // Waiting closes the pipe.
    assert!(gateway.wait().expect("it was not waited for").success());
}

//! Endpoints that answer, and the results.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use crate::support::{KEY, Received, Server, answer, probe_url, run, usage};

pub(crate) fn cached_with_key(_: usize, request: &Received) -> Vec<u8> {
    let is_warm = request.turn() > 1 && request.header("x-session-affinity").is_some();
    answer(&usage(if is_warm { 900 } else { 0 }))
}

#[test]
fn an_endpoint_that_honors_the_key_is_found_to_honor_it() {
    let server = Server::start(cached_with_key);
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let expected = "Verdict: this endpoint honors x-session-affinity. From turn 2 on, 90 % of prompt tokens came from cache with the key, 0 % without it.\n";
    assert!(ran.out.contains(expected), "{}", ran.out);
    assert!(!ran.out.to_lowercase().contains("simulat"), "{}", ran.out);
}

#[test]
fn each_conversation_has_its_own_key_in_one_variant_and_none_in_the_other() {
    let server = Server::start(cached_with_key);
    run(probe_url(&server.url(), &[]));
    let (with, without): (Vec<_>, Vec<_>) = server
        .received()
        .into_iter()
        .partition(|request| request.header("x-session-affinity").is_some());
    assert_eq!((with.len(), without.len()), (12, 12));
    let key = |request: &Received| request.header("x-session-affinity").map(str::to_owned);
    let prompt = |request: &Received| request.body["messages"][0].to_string();
    let keys: HashSet<_> = with
        .iter()
        .map(|request| (key(request), prompt(request)))
        .collect();
    assert_eq!(keys.len(), 6, "each key belongs to one prompt in all turns");
    let prompts: HashSet<_> = with.iter().chain(&without).map(prompt).collect();
    assert_eq!(prompts.len(), 12, "the variants share no prompt");
}

#[test]
fn a_second_run_sends_none_of_the_prompts_of_the_first() {
    let server = Server::start(cached_with_key);
    run(probe_url(&server.url(), &[]));
    run(probe_url(&server.url(), &[]));
    let prompts: HashSet<_> = server
        .received()
        .iter()
        .map(|request| request.body["messages"][0].to_string())
        .collect();
    assert_eq!(prompts.len(), 24);
}

#[test]
fn the_request_follows_the_chat_completions_api() {
    let server = Server::start(cached_with_key);
    run(probe_url(
        &server.url(),
        &["--max-tokens=3", "--header-name=x-session-id"],
    ));
    let request = server
        .received()
        .into_iter()
        .find(|request| request.turn() == 2)
        .expect("a second turn");
    assert_eq!(
        request.header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.body["model"], "m");
    assert_eq!(request.body["max_tokens"], 3);
    assert_eq!(request.body["stream"], true);
    assert_eq!(request.body["stream_options"]["include_usage"], true);
    let roles: Vec<_> = request.body["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .map(|m| m["role"].clone())
        .collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert_eq!(
        request.body["messages"][2]["content"], "Yes indeed",
        "the answer becomes part of the next prompt"
    );
    assert!(
        server
            .received()
            .iter()
            .any(|request| request.header("x-session-id").is_some())
    );
    assert!(
        server
            .received()
            .iter()
            .all(|request| request.header("x-session-affinity").is_none())
    );
}

#[test]
fn an_endpoint_without_cached_tokens_is_judged_by_time_alone() {
    let server = Server::start(|_, _| answer(r#"{"prompt_tokens":1000}"#));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.svg");
    let mut command = probe_url(&server.url(), &[]);
    command.arg("--svg").arg(&path);
    let ran = run(command);
    let svg = std::fs::read_to_string(path).expect("written");
    assert!(svg.contains("No cached tokens were reported"), "{svg}");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out.contains(
            " The endpoint reports no cached tokens, so this rests on the time to the first token alone.\n"
        ),
        "{}",
        ran.out
    );
    let row = |name: &str| {
        ran.out
            .lines()
            .find(|line| line.starts_with(name))
            .expect("a row")
            .to_owned()
    };
    assert!(row("prompt tokens from cache").ends_with('–'));
    assert!(row("time to first token, median").ends_with(" ms"));
}

#[test]
fn omitted_cached_tokens_count_as_zero_if_other_answers_report_them() {
    let server = Server::start(|index, request| {
        if request.turn() == 1 {
            answer(r#"{"prompt_tokens":1000}"#)
        } else {
            cached_with_key(index, request)
        }
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert!(
        ran.out
            .contains("12 answers did not report cached tokens and were counted as 0."),
        "{}",
        ran.out
    );
    let row = ran
        .out
        .lines()
        .find(|line| line.starts_with("prompt tokens from cache"))
        .expect("a row");
    assert!(row.ends_with("45.0 %"), "{row}");
}

#[test]
fn the_replica_header_is_configurable_and_its_value_is_masked() {
    let server = Server::start(|index, request| {
        let name = if request.header("x-session-affinity").is_some() {
            0
        } else {
            index
        };
        let text = String::from_utf8(answer(&usage(0))).expect("text");
        text.replacen("\r\n", &format!("\r\nx-upstream: {name} {KEY}\r\n"), 1)
            .into_bytes()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.json");
    let mut command = probe_url(&server.url(), &["--replica-header=x-upstream"]);
    command.arg("--json").arg(&path);
    let ran = run(command);
    let row = ran
        .out
        .lines()
        .find(|line| line.starts_with("replicas per conversation"))
        .expect("a row");
    assert_eq!(
        row.split_whitespace().skip(3).collect::<Vec<_>>(),
        ["2.0", "1.0"]
    );
    let json = std::fs::read_to_string(path).expect("written");
    assert!(json.contains("0 [api key]") && !json.contains(KEY));
}

#[cfg(unix)]
#[test]
fn ctrl_c_reports_what_was_measured_so_far() {
    use std::process::Command;

    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let server = Server::start(move |index, request| {
        if index == 15 {
            // The program is interrupted while it waits for this answer.
            let _ = held.lock().map(|held| held.recv());
        }
        cached_with_key(index, request)
    });
    let mut command = probe_url(&server.url(), &[]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    while server.received().len() < 16 {
        let ended = child.try_wait().expect("a child");
        assert_eq!(ended, None, "the program ended before it was interrupted");
        std::thread::sleep(Duration::from_millis(10));
    }
    let signal = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(signal.expect("kill runs").success());
    let output = child.wait_with_output().expect("ended");
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130));
    assert!(
        out.contains("The run did not complete; these are the results until then."),
        "{out}"
    );
    let row = out
        .lines()
        .find(|line| line.starts_with("requests"))
        .expect("a row");
    let requests = row
        .split_whitespace()
        .skip(1)
        .map(|n| n.parse::<u32>().expect("a number"));
    assert_eq!(requests.sum::<u32>(), 15);
    drop(release);
}

/// A connection that stays open after the answer, until the sender of the channel is dropped.
struct HeldOpen(TcpStream, Arc<Mutex<mpsc::Receiver<()>>>);

impl Read for HeldOpen {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for HeldOpen {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.1.lock().map(|held| held.recv());
        Ok(())
    }
}

#[test]
fn a_connection_that_stays_open_after_the_answer_is_not_waited_for() {
    let (release, held) = mpsc::channel::<()>();
    let held = Arc::new(Mutex::new(held));
    let wrap = move |stream| -> Box<dyn crate::support::Stream> {
        Box::new(HeldOpen(stream, held.clone()))
    };
    let server = Server::start_on(wrap, cached_with_key);
    let mut child = probe_url(&server.url(), &["--timeout=3600"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    // A probe that waits would wait for an hour.
    let ended = (0..6_000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        child.try_wait().expect("a child")
    });
    let _ = child.kill();
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    drop(release);
}

//! Endpoints that answer, and what is made of their answers.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{KEY, Received, Server, answer, probe_url, run, usage};

fn cached_with_key(_: usize, request: &Received) -> Vec<u8> {
    let is_warm = request.turn() > 1 && request.header("x-session-affinity").is_some();
    answer(&usage(if is_warm { 900 } else { 0 }))
}

#[test]
fn an_endpoint_that_honours_the_key_is_found_to() {
    let server = Server::start(cached_with_key);
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let expected = "with the key 90 % of the prompt came from cache, without it 0 %: this endpoint honours x-session-affinity\n";
    assert!(ran.out.contains(expected), "{}", ran.out);
    assert!(!ran.out.to_lowercase().contains("simulated"), "{}", ran.out);
}

#[test]
fn each_conversation_of_one_arm_has_its_key_and_the_other_arm_has_none() {
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
    assert_eq!(keys.len(), 6, "a key belongs to one prompt, over all turns");
    let prompts: HashSet<_> = with.iter().chain(&without).map(prompt).collect();
    assert_eq!(prompts.len(), 12, "the arms share no prompt");
}

#[test]
fn a_second_run_finds_no_prompt_of_the_first_in_a_cache() {
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
fn the_request_is_what_the_interface_asks_for() {
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
        "the answer becomes a part of the prompt"
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
fn an_endpoint_without_cached_tokens_is_still_timed_and_not_judged_by_them() {
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
            "the endpoint reports no cached tokens; by the time to the first token alone, "
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
    assert!(row("prompt from cache").ends_with('–'));
    assert!(row("time to first token, p50").ends_with(" ms"));
}

#[test]
fn cached_tokens_that_are_left_out_where_there_are_none_count_as_zero() {
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
            .contains("12 answers left the cached tokens out and were counted as 0."),
        "{}",
        ran.out
    );
    let row = ran
        .out
        .lines()
        .find(|line| line.starts_with("prompt from cache"))
        .expect("a row");
    assert!(row.ends_with("45.0 %"), "{row}");
}

#[test]
fn the_replica_is_read_from_the_header_that_is_named_and_cleaned_of_the_key() {
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
fn ctrl_c_tells_what_was_measured_so_far() {
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
        out.contains("The run was not completed; this is what was measured until then."),
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
fn a_stream_that_stays_open_after_its_end_is_not_waited_for() {
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
    // It would wait for an hour.
    let ended = (0..6_000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        child.try_wait().expect("a child")
    });
    let _ = child.kill();
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    drop(release);
}

/// A server with TLS, and its certificate as a file of authorities has it.
fn tls_server() -> (Server, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config =
        ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                config
                    .with_no_client_auth()
                    .with_single_cert(vec![made.cert.der().clone()], key)
            });
    let config = Arc::new(config.expect("valid"));
    let wrap = move |stream| -> Box<dyn crate::support::Stream> {
        let connection = ServerConnection::new(config.clone()).expect("a connection");
        Box::new(StreamOwned::new(connection, stream))
    };
    (Server::start_on(wrap, cached_with_key), made.cert.pem())
}

#[test]
fn tls_is_spoken_with_a_certificate_that_the_system_trusts_and_with_no_other() {
    let (server, certificate) = tls_server();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("authorities.pem");
    std::fs::write(&path, certificate).expect("written");
    let url = format!("https://localhost:{}/v1", server.address.port());

    let mut command = probe_url(&url, &[]);
    command.env("SSL_CERT_FILE", &path);
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out.contains("honours x-session-affinity"),
        "{}",
        ran.out
    );

    // An authority, but another one.
    let other =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&path, other.cert.pem()).expect("written");
    let mut command = probe_url(&url, &[]);
    command.env("SSL_CERT_FILE", &path);
    let ran = run(command);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(
        ran.err
            .contains("error: no connection to https://localhost:"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("invalid peer certificate"), "{}", ran.err);
}

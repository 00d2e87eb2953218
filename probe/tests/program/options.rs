//! Options that change the requests, and those for load and recorded conversations.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::support::{Server, answer, probe_url, reads, response, run, usage};

#[test]
fn set_unset_and_header_change_the_request() {
    let server = Server::start(reads("x-session-affinity"));
    run(probe_url(
        &server.url(),
        &[
            "--set=max_completion_tokens=16",
            "--unset=max_tokens",
            "--unset=stream_options",
            "--set=metadata.team=\"a\"",
            "--unset=temperature",
            "--header=user-agent: mine",
            "--header=x-a: b",
        ],
    ));
    let request = &server.received()[0];
    let fields: BTreeSet<_> = request
        .body
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        Vec::from_iter(fields),
        [
            "max_completion_tokens",
            "messages",
            "metadata",
            "model",
            "stream"
        ]
    );
    assert_eq!(request.body["metadata"], json!({"team": "a"}));
    assert_eq!(
        (request.header("user-agent"), request.header("x-a")),
        (Some("mine"), Some("b"))
    );
}

#[test]
fn a_rejected_field_is_reported_with_the_option_to_try() {
    let server = Server::start(|_, _| {
        let words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        response(
            "400 Bad Request",
            "",
            &json!({"error": {"message": words}}).to_string(),
        )
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .ends_with("\nTry --unset max_tokens --set max_completion_tokens=8.\n"),
        "{}",
        ran.err
    );
}

#[test]
fn a_sweep_over_concurrency_reports_where_affinity_costs_time() {
    // With the key, all conversations go to one replica, which answers one request at a time.
    let replica = std::sync::Mutex::new(());
    let server = Server::start(move |_, request| {
        let is_hot = request.header("x-session-affinity").is_some();
        let turn = is_hot.then(|| replica.lock().expect("no panic"));
        std::thread::sleep(std::time::Duration::from_millis(40));
        drop(turn);
        answer(&usage(0))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.json");
    let mut command = probe_url(&server.url(), &["--concurrency=1,8"]);
    command.arg("--json").arg(&path);
    let ran = run(command);
    assert!(
        ran.out
            .contains("8 conversations of 2 turns per variant, concurrency 1, then 8,\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("  concurrency  concurrency\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("Hashing does not balance load."),
        "{}",
        ran.out
    );
    let json: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("written")).expect("JSON");
    assert_eq!(json["levels"].as_array().map(Vec::len), Some(2));
    assert_eq!(server.received().len(), 2 * 2 * 8 * 2);
}

#[test]
fn recorded_conversations_are_sent_after_unique_words() {
    let server = Server::start(reads("x-session-affinity"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chats.jsonl");
    let line = |number: u32| {
        let said =
            |role: &str, text: &str| json!({"role": role, "content": format!("{text} {number}")});
        json!({"messages": [said("system", "Be kind"), said("user", "Hi"), said("assistant", "Hello"), said("user", "Bye")]}).to_string()
    };
    fs::write(&path, (1..=7).map(line).collect::<Vec<_>>().join("\n")).expect("written");
    let mut command = probe_url(&server.url(), &[]);
    command.arg("--conversations-file").arg(&path);
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err
            .contains("The prompts are 6 recorded conversations from "),
        "{}",
        ran.err
    );
    assert!(
        ran.out
            .contains("6 recorded conversations of up to 2 turns per variant"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("this endpoint honors x-session-affinity. "),
        "{}",
        ran.out
    );
    let last = server
        .received()
        .into_iter()
        .rfind(|request| request.turn() == 2)
        .expect("a second turn");
    let messages = last.body["messages"].as_array().expect("messages").clone();
    assert_eq!(messages.len(), 4);
    assert!(
        messages[2]["content"]
            .as_str()
            .is_some_and(|text| text.starts_with("Hello")),
        "the recorded answer is sent, not the model's"
    );
    let openings: BTreeSet<_> = server
        .received()
        .iter()
        .map(|request| request.body["messages"][0].to_string())
        .collect();
    assert_eq!(openings.len(), 12, "no two variants share a prompt");
}

#[test]
fn a_file_with_too_few_conversations_is_rejected_before_anything_is_sent() {
    let server = Server::start(reads("x-session-affinity"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chats.jsonl");
    fs::write(&path, r#"{"messages":[{"role":"user","content":"Hi"}]}"#).expect("written");
    let mut command = probe_url(&server.url(), &[]);
    command.arg("--conversations-file").arg(&path);
    let ran = run(command);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("error: --conversations-file has 0 conversations with two or more turns, but a verdict needs at least 6"), "{}", ran.err);
    assert!(server.received().is_empty());
}

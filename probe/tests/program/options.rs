//! What an operator asks for: names, prices, load, files, and exit codes for CI.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Received, Server, answer, probe_url, response, run, usage};

/// Caches with this header, or with the field of the body.
fn reads(name: &'static str) -> impl Fn(usize, &Received) -> Vec<u8> {
    move |_, request| {
        let has_key = request.header(name).is_some() || request.body.get(name).is_some();
        answer(&usage(if has_key && request.turn() > 1 {
            900
        } else {
            0
        }))
    }
}

#[test]
fn of_several_names_the_one_that_is_read_is_found_and_each_has_a_column() {
    let server = Server::start(reads("x-session-id"));
    let folder = tempfile::tempdir().expect("a folder");
    let svg = folder.path().join("out.svg");
    let mut command = probe_url(
        &server.url(),
        &["--header-name=x-session-affinity,x-session-id,x-affinity"],
    );
    command.arg("--svg").arg(&svg);
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err
            .contains("It tries 3 names: x-session-affinity, x-session-id and x-affinity."),
        "{}",
        ran.err
    );
    let expected = "with x-session-id 90 % of the prompt came from cache, without a key 0 %: x-session-id is the name that this endpoint honours; x-session-affinity (0 %) and x-affinity (0 %) are ignored\n";
    assert!(ran.out.contains(expected), "{}", ran.out);
    assert!(ran.out.contains("corrected for 3 names"), "{}", ran.out);
    let row = ran
        .out
        .lines()
        .find(|line| line.starts_with("the name is"))
        .expect("a row");
    assert_eq!(
        row.split_whitespace().skip(3).collect::<Vec<_>>(),
        ["ignored", "honoured", "ignored"]
    );
    let svg = fs::read_to_string(svg).expect("written");
    for name in [
        "without key",
        "x-session-affinity",
        "x-session-id",
        "x-affinity",
    ] {
        assert!(svg.contains(&format!("\n{name}\n")), "{name}");
    }
    let requests = server.received();
    assert_eq!(requests.len(), 4 * 12);
    let with_two = requests.iter().filter(|request| {
        let names = ["x-session-affinity", "x-session-id", "x-affinity"];
        names
            .iter()
            .filter(|name| request.header(name).is_some())
            .count()
            > 1
    });
    assert_eq!(with_two.count(), 0, "a request has one key at most");
}

#[test]
fn a_field_of_the_body_is_a_name_like_the_others() {
    let server = Server::start(reads("prompt_cache_key"));
    let ran = run(probe_url(
        &server.url(),
        &[
            "--body-field=prompt_cache_key",
            "--header-name=x-session-id",
        ],
    ));
    assert!(
        ran.out.contains(
            "prompt_cache_key is the name that this endpoint honours; x-session-id (0 %) is ignored"
        ),
        "{}",
        ran.out
    );
    let keys: BTreeSet<_> = server
        .received()
        .iter()
        .filter_map(|r| r.body["prompt_cache_key"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(keys.len(), 6, "one for each conversation");
}

#[test]
fn a_field_alone_is_tried_without_the_default_header() {
    let server = Server::start(reads("prompt_cache_key"));
    let ran = run(probe_url(&server.url(), &["--body-field=prompt_cache_key"]));
    assert!(
        ran.out.contains("this endpoint honours prompt_cache_key\n"),
        "{}",
        ran.out
    );
    assert_eq!(server.received().len(), 24);
}

#[test]
fn all_known_names_are_tried() {
    let server = Server::start(reads("x-grok-conv-id"));
    let ran = run(probe_url(&server.url(), &["--known"]));
    assert!(
        ran.out
            .contains("x-grok-conv-id is the name that this endpoint honours"),
        "{}",
        ran.out
    );
}

#[test]
fn a_name_that_is_refused_does_not_end_the_others() {
    let server = Server::start(|index, request| {
        if request.body.get("prompt_cache_key").is_some() {
            return response(
                "400 Bad Request",
                "",
                r#"{"error":{"message":"property 'prompt_cache_key' is unsupported"}}"#,
            );
        }
        reads("x-session-id")(index, request)
    });
    let ran = run(probe_url(
        &server.url(),
        &[
            "--body-field=prompt_cache_key",
            "--header-name=x-session-id",
        ],
    ));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err
            .contains("prompt_cache_key is refused: the endpoint answered 400 Bad Request"),
        "{}",
        ran.err
    );
    assert!(
        ran.out.contains(
            "x-session-id is the name that this endpoint honours; prompt_cache_key is refused\n"
        ),
        "{}",
        ran.out
    );
}

#[test]
fn fields_and_headers_of_a_request_are_what_the_user_asks_for() {
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
fn an_endpoint_that_refuses_a_field_is_told_with_the_option_that_helps() {
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
        ran.err.ends_with(
            "\n--unset max_tokens --set max_completion_tokens=8 sends the other field.\n"
        ),
        "{}",
        ran.err
    );
}

/// Runs with conditions of CI, and returns the exit code.
fn code(name: &'static str, args: &[&str]) -> (Option<i32>, String) {
    let server = Server::start(reads(name));
    let ran = run(probe_url(&server.url(), args));
    assert!(
        ran.out.contains("prompt from cache"),
        "the result is told in every case"
    );
    (ran.code, ran.err)
}

#[test]
fn a_condition_that_is_met_has_an_exit_code_of_its_own() {
    let honoured = "x-session-affinity";
    assert_eq!(
        code(honoured, &["--fail-if=ignored", "--min-gain=50"]).0,
        Some(0)
    );
    let (failed, why) = code("none", &["--fail-if=ignored"]);
    assert_eq!(failed, Some(3));
    assert!(
        why.ends_with("error: every name is ignored (--fail-if ignored)\n"),
        "{why}"
    );
    assert_eq!(code("none", &["--fail-if=no-gain"]).0, Some(3));
    let (failed, why) = code(honoured, &["--min-gain=95"]);
    assert_eq!(failed, Some(3));
    assert!(
        why.ends_with("error: the gain is 90.0 points, less than 95 (--min-gain)\n"),
        "{why}"
    );
}

#[test]
fn a_condition_that_cannot_be_judged_has_another_exit_code() {
    let server = Server::start(|_, _| answer("null"));
    let ran = run(probe_url(&server.url(), &["--fail-if=ignored"]));
    assert_eq!(ran.code, Some(4), "{}", ran.out);
    assert!(
        ran.err
            .ends_with("error: there is no telling whether --fail-if or --min-gain is met\n"),
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
fn the_summary_of_a_job_has_the_verdict_and_the_table() {
    let server = Server::start(reads("x-session-affinity"));
    let text = markdown(&mut probe_url(&server.url(), &[]));
    assert!(
        text.starts_with("## affinity-probe\n\n**with the key 90 % of the prompt came from cache"),
        "{text}"
    );
    for line in [
        "|  | without key | with key |",
        "|---|--:|--:|",
        "| prompt from cache | 0.0 % | 45.0 % |",
    ] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}

#[test]
fn the_summary_of_a_job_that_failed_says_why() {
    let server = Server::start(|_, _| response("402 Payment Required", "", "no `credit`\n# none"));
    let text = markdown(&mut probe_url(&server.url(), &[]));
    assert!(text.contains("The run failed:\n\n    the endpoint answered 402 Payment Required: no `credit` # none\n"), "{text}");
}

#[test]
fn prices_make_the_cost_of_a_thousand_conversations() {
    let server = Server::start(reads("x-session-affinity"));
    let ran = run(probe_url(
        &server.url(),
        &["--price-input=3", "--price-cached=0.3"],
    ));
    let row = ran
        .out
        .lines()
        .find(|line| line.starts_with("prompts of 1,000 chats cost"))
        .expect("a row");
    // Two prompts of 1,000 tokens each; with the key 900 of the second are cached.
    assert_eq!(
        row.split_whitespace().skip(5).collect::<Vec<_>>(),
        ["6.00", "3.57"]
    );
}

#[test]
fn load_is_swept_and_where_the_key_hurts_is_told() {
    // With the key all conversations meet on one replica, which answers one at a time.
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
            .contains("8 conversations of 2 turns in each variant, 1, then 8 requests at once"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("1 at once") && ran.out.contains("8 at once"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("since hashing balances no load"),
        "{}",
        ran.out
    );
    let json: Value =
        serde_json::from_str(&fs::read_to_string(path).expect("written")).expect("JSON");
    assert_eq!(json["levels"].as_array().map(Vec::len), Some(2));
    assert_eq!(server.received().len(), 2 * 2 * 8 * 2);
}

#[test]
fn recorded_conversations_are_sent_with_words_of_their_own_before_them() {
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
        ran.err.contains("It sends 6 recorded conversations from "),
        "{}",
        ran.err
    );
    assert!(
        ran.out
            .contains("6 recorded conversations of up to 2 turns in each variant"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("honours x-session-affinity\n"),
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
        "the recorded answer"
    );
    let openings: BTreeSet<_> = server
        .received()
        .iter()
        .map(|request| request.body["messages"][0].to_string())
        .collect();
    assert_eq!(openings.len(), 12, "no two variants share a prompt");
}

#[test]
fn a_file_of_too_few_conversations_is_refused_before_anything_is_sent() {
    let server = Server::start(reads("x-session-affinity"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chats.jsonl");
    fs::write(&path, r#"{"messages":[{"role":"user","content":"Hi"}]}"#).expect("written");
    let mut command = probe_url(&server.url(), &[]);
    command.arg("--conversations-file").arg(&path);
    let ran = run(command);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("error: --conversations-file has 0 conversations of two turns or more, and a verdict takes at least 6"), "{}", ran.err);
    assert!(server.received().is_empty());
}

//! Several names for the key, in headers and in body fields.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Server, probe_url, reads, response, run};

#[test]
fn the_name_that_the_endpoint_reads_is_found_among_several() {
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
    let expected = "Verdict: this endpoint honors x-session-id. From turn 2 on, 90 % of prompt tokens came from cache with it, 0 % without a key. x-session-affinity (0 %) and x-affinity (0 %) are ignored.\n";
    assert!(ran.out.contains(expected), "{}", ran.out);
    assert!(ran.out.contains("corrected for 3 names"), "{}", ran.out);
    let row = ran
        .out
        .lines()
        .find(|line| line.starts_with("finding"))
        .expect("a row");
    assert_eq!(
        row.split_whitespace().skip(1).collect::<Vec<_>>(),
        ["ignored", "honored", "ignored"]
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
    assert_eq!(with_two.count(), 0, "no request has two keys");
}

#[test]
fn a_body_field_is_tried_like_a_header() {
    let server = Server::start(reads("prompt_cache_key"));
    let ran = run(probe_url(
        &server.url(),
        &[
            "--body-field=prompt_cache_key",
            "--header-name=x-session-id",
        ],
    ));
    assert!(
        ran.out.contains("this endpoint honors prompt_cache_key. ")
            && ran.out.contains(" x-session-id (0 %) is ignored.\n"),
        "{}",
        ran.out
    );
    let keys: BTreeSet<_> = server
        .received()
        .iter()
        .filter_map(|r| r.body["prompt_cache_key"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(keys.len(), 6, "each conversation has its own key");
}

#[test]
fn with_body_field_alone_the_default_header_is_not_tried() {
    let server = Server::start(reads("prompt_cache_key"));
    let ran = run(probe_url(&server.url(), &["--body-field=prompt_cache_key"]));
    assert!(
        ran.out.contains("this endpoint honors prompt_cache_key. "),
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
        ran.out.contains("this endpoint honors x-grok-conv-id. "),
        "{}",
        ran.out
    );
}

#[test]
fn a_refused_name_does_not_stop_the_others() {
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
        ran.out.contains("this endpoint honors x-session-id. ")
            && ran.out.contains(" prompt_cache_key is refused.\n"),
        "{}",
        ran.out
    );
}

//! Runs the probe against llama.cpp's server, and compares its report with the engine's counters.
//!
//! One case runs with the other tests. The others take minutes:
//! `cargo test -p gateways --test engine -- --ignored --nocapture --test-threads 1`.

use std::io;

use gateways::engine::Kind;
use gateways::launch;
use gateways::measure::{Case, EIGHT_CHATS, LONG_SYSTEM_PROMPT, chart, measure, nginx, share};

const NGINX: Case = Case {
    name: "four servers behind nginx",
    kind: Kind::LlamaCpp,
    servers: 4,
    arguments: &[],
    gateway: Some("nginx"),
    launch: nginx,
    size: EIGHT_CHATS,
};

#[tokio::test]
async fn behind_nginx_the_key_saves_tokens_and_the_probe_agrees_with_the_engine() -> io::Result<()>
{
    if let Some(report) = measure(&NGINX).await? {
        assert_eq!(report["verdict"]["finding"], "honored");
        assert_eq!(report["variants"][1]["replicas_per_conversation"], 1.0);
        assert_eq!(
            without_numbers(&chart(&NGINX)?),
            without_numbers(include_str!("../../docs/engine.svg")),
            "the probe's chart (left) and docs/engine.svg (right) differ in more than the numbers"
        );
    }
    Ok(())
}

/// Returns a chart without its coordinates and sizes, which depend on what was measured.
fn without_numbers(svg: &str) -> Vec<&str> {
    let is_number = |part: &&str| part.starts_with(|first: char| first.is_ascii_digit());
    svg.split('"').filter(|part| !is_number(part)).collect()
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn one_server_needs_no_key() -> io::Result<()> {
    let case = Case {
        name: "one server",
        servers: 1,
        gateway: None,
        ..NGINX
    };
    if let Some(report) = measure(&case).await? {
        assert_eq!(report["verdict"]["finding"], "not_needed");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn a_cache_aware_router_needs_no_key() -> io::Result<()> {
    let case = Case {
        name: "four servers behind smg cache_aware",
        gateway: Some("smg"),
        launch: |program, setup| launch::smg(program, setup, "cache_aware"),
        ..NGINX
    };
    if let Some(report) = measure(&case).await? {
        assert_eq!(report["verdict"]["finding"], "not_needed");
    }
    Ok(())
}

/// A server with one slot and no cache on the host keeps one conversation, and four conversations share it.
#[tokio::test]
#[ignore = "takes minutes"]
async fn with_fewer_slots_than_conversations_little_comes_from_cache() -> io::Result<()> {
    let case = Case {
        name: "one slot a server, no host cache",
        arguments: &["--parallel", "1", "--cache-ram", "0"],
        ..NGINX
    };
    if let Some(report) = measure(&case).await? {
        let with_key = share(&report["variants"][1]["tokens"]);
        assert!(
            with_key < 50.0,
            "{with_key} % came from cache with a key, expected less than 50 %"
        );
    }
    Ok(())
}

/// Most of each prompt is the same for all conversations, and each server soon has it.
#[tokio::test]
#[ignore = "takes minutes"]
async fn a_long_shared_system_prompt_comes_from_cache_without_a_key() -> io::Result<()> {
    let case = Case {
        name: "long shared system prompt",
        arguments: &[
            "--ctx-size",
            "16384",
            "--jinja",
            "--chat-template-file",
            LONG_SYSTEM_PROMPT,
        ],
        ..NGINX
    };
    if let Some(report) = measure(&case).await? {
        let without_key = share(&report["variants"][0]["tokens"]);
        assert!(
            without_key > 50.0,
            "{without_key} % came from cache without a key, expected more than 50 %"
        );
    }
    Ok(())
}

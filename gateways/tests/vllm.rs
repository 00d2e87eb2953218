//! Runs the probe against vLLM on a CPU, and compares its report with vLLM's counters. It takes 6 GB and minutes:
//!
//! ```sh
//! gateways/install.sh --vllm
//! cargo test -p gateways --test vllm -- --ignored --nocapture --test-threads 1
//! ```

use std::io;

use gateways::engine::Kind;
use gateways::measure::{Case, EIGHT_CHATS, LONG_SYSTEM_PROMPT, measure, nginx, share};
use serde_json::Value;

const NGINX: Case = Case {
    name: "two vLLM behind nginx",
    kind: Kind::Vllm,
    servers: 2,
    arguments: &[],
    gateway: Some("nginx"),
    launch: nginx,
    size: EIGHT_CHATS,
};

/// The tokens in a block of the cache, as the servers are started.
const BLOCK: u64 = 32;

/// The tokens of an answer, by the probe's default. The last one is not in the cache until the next turn sends it
/// back.
const ANSWER: u64 = 8;

fn is_honored(report: &Value) {
    assert_eq!(report["verdict"]["finding"], "honored");
    assert_eq!(report["variants"][1]["replicas_per_conversation"], 1.0);
}

/// Returns the most tokens that can come from cache: the whole blocks of the turn before each turn. They are
/// 10,496 tokens, unless the probe's prompts change.
fn most_from_cache(report: &Value) -> u64 {
    let requests = report["requests"].as_array().unwrap();
    let with_key = requests.iter().filter(|one| one["variant"] == "with_key");
    let number = |one: &Value, name: &str| one[name].as_u64().unwrap();
    let last = with_key.clone().map(|one| number(one, "turn")).max();
    with_key
        .filter(|one| Some(number(one, "turn")) < last)
        .map(|one| (number(one, "prompt_tokens") + ANSWER - 1) / BLOCK * BLOCK)
        .sum()
}

#[tokio::test]
#[ignore = "takes 6 GB and minutes"]
async fn behind_nginx_the_key_saves_tokens_and_the_probe_agrees_with_vllm() -> io::Result<()> {
    if let Some(report) = measure(&NGINX).await? {
        is_honored(&report);
        let cached = &report["variants"][1]["tokens"]["cached"];
        assert_eq!(
            *cached,
            most_from_cache(&report),
            "tokens from cache with a key, tokens in whole blocks"
        );
    }
    Ok(())
}

/// Unlike llama.cpp's slots, blocks cache the common part and the rest of each conversation.
#[tokio::test]
#[ignore = "takes 6 GB and minutes"]
async fn with_a_long_shared_system_prompt_the_key_still_saves_tokens() -> io::Result<()> {
    let case = Case {
        name: "two vLLM, long shared system prompt",
        arguments: &["--chat-template", LONG_SYSTEM_PROMPT],
        ..NGINX
    };
    if let Some(report) = measure(&case).await? {
        is_honored(&report);
        let without_key = share(&report["variants"][0]["tokens"]);
        assert!(
            without_key > 50.0,
            "{without_key} % came from cache without a key, expected more than 50 %"
        );
    }
    Ok(())
}

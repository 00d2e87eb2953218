//! The probe against vLLM on a CPU, which takes 6 GB and minutes, and so is asked for:
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

/// The tokens of a block of the cache, as the servers are started.
const BLOCK: u64 = 32;

/// The tokens of an answer, by the probe's default; the last one is not computed before it is sent back.
const ANSWER: u64 = 8;

fn is_honoured(report: &Value) {
    assert_eq!(report["verdict"]["finding"], "honoured");
    assert_eq!(report["arms"][1]["replicas_per_conversation"], 1.0);
}

/// Returns the whole blocks of each turn before: 10,496 tokens, unless the probe's words change.
fn most_from_cache(report: &Value) -> u64 {
    let requests = report["requests"].as_array().unwrap();
    let with_key = requests.iter().filter(|one| one["arm"] == "with_key");
    let number = |one: &Value, name: &str| one[name].as_u64().unwrap();
    let last = with_key.clone().map(|one| number(one, "turn")).max();
    with_key
        .filter(|one| Some(number(one, "turn")) < last)
        .map(|one| (number(one, "prompt_tokens") + ANSWER - 1) / BLOCK * BLOCK)
        .sum()
}

#[tokio::test]
#[ignore = "vLLM takes 6 GB and minutes"]
async fn behind_nginx_the_key_pays_and_vllm_counts_the_same_tokens() -> io::Result<()> {
    if let Some(report) = measure(&NGINX).await? {
        is_honoured(&report);
        let cached = &report["arms"][1]["tokens"]["cached"];
        assert_eq!(*cached, most_from_cache(&report));
    }
    Ok(())
}

/// Unlike in llama.cpp's slots, the common part is in the cache and so is the rest of the conversation.
#[tokio::test]
#[ignore = "vLLM takes 6 GB and minutes"]
async fn with_a_long_shared_system_prompt_the_key_still_pays() -> io::Result<()> {
    let case = Case {
        name: "two vLLM, long shared system prompt",
        arguments: &["--chat-template", LONG_SYSTEM_PROMPT],
        ..NGINX
    };
    if let Some(report) = measure(&case).await? {
        is_honoured(&report);
        let without_key = share(&report["arms"][0]["tokens"]);
        assert!(without_key > 50.0, "{without_key} %");
    }
    Ok(())
}

//! The probe against vLLM on a CPU, which takes 6 GB and minutes, and so is asked for:
//!
//! ```sh
//! gateways/install.sh --vllm
//! cargo test -p gateways --test vllm -- --ignored --nocapture --test-threads 1
//! ```

use std::io;

use gateways::engine::Kind;
use gateways::measure::{Case, EIGHT_CHATS, measure, nginx, share};
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

/// A chat template that puts a hundred rules before every conversation.
const LONG_SYSTEM_PROMPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/long_system_prompt.jinja"
);

/// With the key a conversation computes only what is new and what does not fill a block.
fn the_key_halves_what_is_computed(report: &Value) {
    assert_eq!(report["verdict"]["finding"], "honoured");
    assert_eq!(report["arms"][1]["replicas_per_conversation"], 1.0);
}

#[tokio::test]
#[ignore = "vLLM takes 6 GB and minutes"]
async fn behind_nginx_the_key_pays_and_vllm_counts_the_same_tokens() -> io::Result<()> {
    if let Some(report) = measure(&NGINX).await? {
        the_key_halves_what_is_computed(&report);
        // All that blocks of 32 tokens can hold of what was there a turn before.
        assert_eq!(report["arms"][1]["tokens"]["cached"], 10_496);
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
        the_key_halves_what_is_computed(&report);
        let without_key = share(&report["arms"][0]["tokens"]);
        assert!(without_key > 50.0, "{without_key} %");
    }
    Ok(())
}

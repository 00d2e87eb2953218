//! What a remembered session weighs.
//!
//! `cargo bench -p tower-affinity-token --bench memory` lets a gateway issue 100,000 tokens and
//! counts the bytes that were asked of the allocator and not given back, without its own overhead.

use std::env;

use allocation_counter::measure;
use http::HeaderValue;
use support::{Gateway, exchange, key, request};
use tower_affinity_token::{AffinityTokenLayer, MemoryStore, header::X_SESSION_TOKEN};
use tower_layer::Layer;

mod support;

fn main() {
    // `cargo test --benches` asks only whether it builds.
    if env::args().nth(1).as_deref() != Some("--bench") {
        return;
    }
    println!("| token, with a key of 36 bytes | a session |");
    println!("|---|---|");
    for token_len in [20, 40, 256] {
        println!(
            "| {token_len} bytes | {} bytes |",
            bytes_a_session(token_len)
        );
    }
}

fn bytes_a_session(token_len: usize) -> i64 {
    let token = HeaderValue::try_from("t".repeat(token_len)).expect("a valid value");
    let mut kept = None;
    let counted = measure(|| {
        let store = kept.insert(MemoryStore::new());
        let layer = AffinityTokenLayer::new(X_SESSION_TOKEN).store(store.clone());
        // Each token is issued, and then sent.
        for token in [Some(token), None] {
            let mut service = layer.layer(Gateway(token));
            for number in 0..MemoryStore::MAX_SESSIONS {
                exchange(&mut service, request(Some(key(number))));
            }
        }
        assert_eq!(store.len(), MemoryStore::MAX_SESSIONS);
    });
    counted.bytes_current / i64::try_from(MemoryStore::MAX_SESSIONS).expect("a small number")
}

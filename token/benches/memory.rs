//! How much memory a remembered session takes.
//!
//! `cargo bench -p tower-affinity-token --bench memory` lets a gateway issue 100,000 tokens and counts the
//! bytes that stay allocated, without the allocator's overhead. It fails if a session exceeds its bound.

use std::env;
use std::process::ExitCode;

use allocation_counter::measure;
use http::HeaderValue;
use support::{Gateway, exchange, key, request};
use tower_affinity_token::{AffinityTokenLayer, MemoryStore, header::X_SESSION_TOKEN};
use tower_layer::Layer;

mod support;

/// The most bytes of a session without its token: 210 with a token of 20 bytes.
const BOUND: usize = 190;

fn main() -> ExitCode {
    // `cargo test --benches` only checks that it builds.
    if env::args().nth(1).as_deref() != Some("--bench") {
        return ExitCode::SUCCESS;
    }
    println!("| token, with a key of 36 bytes | per session | bound |");
    println!("|---|---|---|");
    let mut code = ExitCode::SUCCESS;
    for token_len in [20, 40, 256] {
        let (bytes, bound) = (bytes_a_session(token_len), BOUND + token_len);
        println!("| {token_len} bytes | {bytes} bytes | {bound} |");
        if bytes > bound {
            eprintln!(
                "a session with a token of {token_len} bytes takes {bytes} bytes, \
                 which exceeds the bound of {bound}"
            );
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn bytes_a_session(token_len: usize) -> usize {
    let token = HeaderValue::try_from("t".repeat(token_len)).expect("a valid value");
    let mut kept = None;
    let counted = measure(|| {
        let store = kept.insert(MemoryStore::new());
        let layer = AffinityTokenLayer::new(X_SESSION_TOKEN).store(store.clone());
        // Each token is issued and then sent.
        for token in [Some(token), None] {
            let mut service = layer.layer(Gateway::new(token));
            for number in 0..MemoryStore::MAX_SESSIONS {
                exchange(&mut service, request(Some(key(number))));
            }
        }
        assert_eq!(store.len(), MemoryStore::MAX_SESSIONS);
    });
    let bytes = usize::try_from(counted.bytes_current).expect("more was allocated than freed");
    bytes / MemoryStore::MAX_SESSIONS
}

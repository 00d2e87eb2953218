//! A server that records what arrives, a chat model that answers, and the ways to put the layer into a
//! client.

mod adapter;
mod llm;
mod server;

use std::future::Future;
use std::time::Duration;

pub(crate) use adapter::{Adapter, Hosts};
use hyper_util::client::legacy::connect::HttpConnector;
pub(crate) use llm::{Llm, completion};
pub(crate) use server::Server;
use tower_session_affinity::AffinityKey;

/// Makes a key of a conversation's name.
pub(crate) fn key(name: &str) -> AffinityKey {
    name.parse().expect("the name of a test's conversation")
}

/// Connects without Nagle's algorithm. With it, a body in a second segment waits for the delayed
/// acknowledgement of the first: 40 ms on Linux.
pub(crate) fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector
}

/// Fails a test that would hang. No test needs this limit to pass.
pub(crate) async fn or_hung<F: Future>(what: &str, future: F) -> F::Output {
    let limit = Duration::from_mins(5);
    let Ok(output) = tokio::time::timeout(limit, future).await else {
        panic!("hung: {what}")
    };
    output
}

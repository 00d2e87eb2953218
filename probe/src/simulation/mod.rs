//! The simulation that runs without `--url`: replicas behind a gateway, on loopback.

mod cache;
mod gateway;
mod replica;
mod server;

use std::io;

use http::Uri;

use gateway::Gateway;
use replica::Replica;
use server::serve;

pub(crate) use replica::PREFILL;

/// The size of a replica's cache in tokens.
pub(crate) const CACHE_TOKENS: usize = replica::CACHE_BLOCKS.get() * cache::BLOCK_TOKENS;

/// Starts the replicas and the gateway, and returns the gateway's endpoint.
pub(crate) async fn start(replicas: u32) -> io::Result<Uri> {
    let mut addresses = Vec::new();
    for number in 1..=replicas {
        let replica = Replica::new(&format!("replica-{number}"));
        addresses.push(serve(move |request| replica.clone().answer(request)).await?);
    }
    let gateway = Gateway::new(&addresses);
    let address = serve(move |request| gateway.clone().forward(request)).await?;
    let endpoint = format!("http://{address}/v1/chat/completions").parse();
    endpoint.map_err(io::Error::other)
}

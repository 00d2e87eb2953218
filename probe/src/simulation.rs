//! The embedded default: simulated replicas behind a simulated gateway, on loopback.

use std::io;

use http::Uri;

use crate::gateway::Gateway;
use crate::replica::Replica;
use crate::server::serve;

/// Starts everything and returns the endpoint of the gateway.
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

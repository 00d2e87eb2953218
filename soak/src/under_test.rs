//! The gateway of the example, as the process that is put under load.

#[path = "../../examples/axum_gateway/gateway.rs"]
mod gateway;

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

use crate::plant::Plant;

/// Serves until standard input ends, which the end of the driver brings about, however it ends.
///
/// The first segment of a path is the index of the replica. The address goes to standard output.
#[tokio::main]
pub(crate) async fn serve(
    upstreams: &[SocketAddr],
    plant: Option<Plant>,
) -> Result<(), Box<dyn Error>> {
    let mut router = Router::new();
    for (index, upstream) in upstreams.iter().enumerate() {
        router = router.nest(&format!("/{index}"), gateway::router(*upstream)?);
    }
    if let Some(plant) = plant {
        router = plant.put_into(router);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}

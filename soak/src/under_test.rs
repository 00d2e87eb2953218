//! The gateway of the example, in the process that is put under load.

#[path = "../../examples/axum_gateway/gateway.rs"]
mod gateway;

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

use crate::plant::Plant;

/// Prints its address, then serves until standard input is closed.
///
/// The driver's end closes it, even if the driver is killed. The first segment of a path is the
/// index of the replica.
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
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // If this fails, responses are only slower.
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    /// Reads the option from the socket, since a test of delays would be flaky.
    #[tokio::test]
    async fn connections_to_the_upstream_set_tcp_nodelay() -> Result<(), Box<dyn Error>> {
        let upstream = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", upstream.local_addr()?).parse()?;
        let stream = gateway::connector().oneshot(url).await?.into_inner();
        assert!(stream.nodelay()?, "expected TCP_NODELAY to be set");
        Ok(())
    }
}

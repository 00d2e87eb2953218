//! The gateway example: with the layer, with a header copy by hand, and with neither.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body as GatewayBody;
use axum::serve::ListenerExt;
use http::{Request, Uri, header::HOST};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::util::MapRequest;
use tower_session_affinity::header::{CALLER_SESSIONS, X_SESSION_AFFINITY, X_SESSION_ID};

use crate::{BoxError, Contestant, shared};

#[path = "../../examples/axum_gateway/gateway.rs"]
mod gateway;

/// Returns one caller for each of the gateways in front of this upstream, all with one version of HTTP.
pub(crate) async fn contestants(
    upstream: SocketAddr,
    http2: bool,
    servers: &mut JoinSet<()>,
) -> Result<Vec<Contestant>, BoxError> {
    let gateways = [
        (
            "the gateway without the header",
            gateway::router_over(gateway::client(), upstream)?,
        ),
        ("this layer, `.adopt`", gateway::router(upstream)?),
        (
            "a header copy by hand",
            gateway::router_over(MapRequest::new(gateway::client(), copy), upstream)?,
        ),
    ];
    let mut contestants = Vec::new();
    for (name, router) in gateways {
        let uri = serve(router, servers).await?;
        let mut head = crate::head(&uri);
        head.headers.remove(HOST);
        head.headers.insert(X_SESSION_ID, shared::key().into());
        let mut caller = Client::builder(TokioExecutor::new());
        let caller = caller.http2_only(http2).build(gateway::connector());
        contestants.push(Contestant::new(name, &head, caller));
    }
    Ok(contestants)
}

/// A copy by hand: it takes the first name that is present, does not check it, and removes nothing.
fn copy(mut request: Request<GatewayBody>) -> Request<GatewayBody> {
    let headers = request.headers_mut();
    if let Some(value) = CALLER_SESSIONS.iter().find_map(|name| headers.get(name)) {
        let value = value.clone();
        headers.insert(X_SESSION_AFFINITY, value);
    }
    request
}

async fn serve(router: Router, servers: &mut JoinSet<()>) -> Result<Uri, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("http://{}/", listener.local_addr()?).parse()?;
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true); // An error only means longer waits.
    });
    servers.spawn(async move {
        let _ = axum::serve(listener, router).await; // It ends with the task.
    });
    Ok(uri)
}

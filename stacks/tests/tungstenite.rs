//! tokio-tungstenite: `layer.stamp` on the handshake of a WebSocket, as for realtime APIs.

use http::{HeaderMap, Request, Uri};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, Result};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_hdr_async, connect_async};
use tower_session_affinity::{
    AffinityKey, FromScope, HostPattern, KeyExtractor, Outcome, SessionAffinityLayer, header,
};

use crate::support::key;

/// The wiring: `into_client_request` makes a request of `http` 1, whose URI is `ws://…` or `wss://…`.
async fn connect<K: KeyExtractor>(
    layer: &SessionAffinityLayer<K>,
    url: &str,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>> {
    let request = url.into_client_request()?;
    let (mut head, ()) = request.into_parts();
    let headers = &mut head.headers;
    layer.stamp(&head.method, &head.uri, headers, &head.extensions);
    let (socket, _) = connect_async(Request::from_parts(head, ())).await?;
    Ok(socket)
}

/// Accepts one WebSocket, and returns the handshake's headers and the first message.
#[expect(
    clippy::result_large_err,
    reason = "tungstenite's callback has that type"
)]
async fn accept_one() -> (String, JoinHandle<(HeaderMap, Message)>) {
    use futures_util::StreamExt;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut headers = HeaderMap::new();
        let record = |request: &Request<()>, response| {
            headers = request.headers().clone();
            Ok(response)
        };
        let mut socket = accept_hdr_async(stream, record).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        (headers, message)
    });
    (authority, server)
}

/// Connects with this layer, and returns the lines of the handshake.
async fn lines_of_a_handshake<K: KeyExtractor>(
    layer: impl FnOnce(&str) -> SessionAffinityLayer<K>,
) -> Vec<String> {
    use futures_util::SinkExt;
    let (authority, server) = accept_one().await;
    let layer = layer(&authority);
    let mut socket = connect(&layer, &format!("ws://{authority}/v1/realtime"))
        .await
        .unwrap();
    socket.send("hello".into()).await.unwrap();
    let (headers, message) = server.await.unwrap();
    assert_eq!(message, Message::from("hello"));
    let lines = headers.get_all(header::X_SESSION_AFFINITY).iter();
    lines
        .map(|line| line.to_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_handshake_carries_the_key_of_the_scope_and_the_socket_works() {
    let layer = SessionAffinityLayer::new().or(FromScope);
    let handshake = lines_of_a_handshake(|_| layer.clone());
    assert_eq!(key("chat-7").scope(handshake).await, ["chat-7"]);
    assert_eq!(lines_of_a_handshake(|_| layer).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_handshake_carries_the_key_only_to_a_listed_host_and_port() {
    let listed = lines_of_a_handshake(|authority| to(authority, "chat-7"));
    assert_eq!(listed.await, ["chat-7"]);
    let unlisted = lines_of_a_handshake(|_| to("127.0.0.1:1", "chat-7"));
    assert_eq!(unlisted.await, Vec::<String>::new());
}

fn to(host: &str, name: &str) -> SessionAffinityLayer<impl KeyExtractor + use<>> {
    let host: HostPattern = host.parse().unwrap();
    SessionAffinityLayer::new().or(key(name)).only_hosts([host])
}

/// A `wss` URI without a port has the port 443.
#[test]
fn a_pattern_without_a_scheme_matches_wss() {
    let key = AffinityKey::from_static("chat-7");
    for (pattern, stamped) in [
        ("api.example", true),
        ("api.example:443", true),
        ("api.example:80", false),
    ] {
        let layer = SessionAffinityLayer::new()
            .or(key.clone())
            .only_hosts([HostPattern::from_static(pattern)]);
        let uri: Uri = "wss://api.example/v1/realtime".parse().unwrap();
        let (mut head, ()) = uri.into_client_request().unwrap().into_parts();
        let outcome = layer.stamp(&head.method, &head.uri, &mut head.headers, &head.extensions);
        assert_eq!(outcome == Outcome::Stamped, stamped, "{pattern}");
    }
}

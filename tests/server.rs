//! The layer on a server, where the caller controls the URI.

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::{Layer, service_fn};
use tower_session_affinity::{AffinityKey, HostPattern, KeyExtractor, SessionAffinityLayer};

const HOST: &str = "api.example";
const KEY: AffinityKey = AffinityKey::from_static("ours");

/// Serves with this layer. The answer is the header value that the handler sees, or empty.
async fn serve<K>(servers: &mut JoinSet<()>, layer: SessionAffinityLayer<K>) -> SocketAddr
where
    K: KeyExtractor + Clone + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    servers.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let handler = service_fn(async |request: Request<hyper::body::Incoming>| {
                let value = request.headers().get("x-session-affinity").cloned();
                let value = value.map_or(Bytes::new(), |value| {
                    Bytes::copy_from_slice(value.as_bytes())
                });
                Ok::<_, Infallible>(Response::new(Full::new(value)))
            });
            let service = TowerToHyperService::new(layer.layer(handler));
            connections.spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// Sends this request target verbatim over HTTP/1.1 and returns the response body.
async fn over_http_1(server: SocketAddr, target: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.to_owned()
}

/// Sends a request over HTTP/2 with this host as `:authority` and returns the response body.
async fn over_http_2(server: SocketAddr, host: &str) -> String {
    let stream = TcpStream::connect(server).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(connection.await) });
    let request = Request::get(format!("http://{host}/")).version(Version::HTTP_2);
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.into()).unwrap()
}

#[tokio::test]
async fn a_host_list_blocks_http_1_requests_whose_uri_has_no_host() {
    let mut servers = JoinSet::new();
    let listed = HostPattern::from_static(HOST);
    let layer = SessionAffinityLayer::new().or(KEY).only_hosts([listed]);
    let server = serve(&mut servers, layer).await;
    assert_eq!(over_http_1(server, "/v1/chat", HOST).await, "");
}

#[tokio::test]
async fn the_caller_chooses_the_host_of_an_absolute_uri_and_over_http_2() {
    let mut servers = JoinSet::new();
    let listed = HostPattern::from_static(HOST);
    let layer = SessionAffinityLayer::new().or(KEY).only_hosts([listed]);
    let server = serve(&mut servers, layer).await;
    let absolute = |host: &str| format!("http://{host}/v1/chat");
    assert_eq!(
        over_http_1(server, &absolute(HOST), "evil.example").await,
        "ours"
    );
    assert_eq!(
        over_http_1(server, &absolute("evil.example"), HOST).await,
        ""
    );
    assert_eq!(over_http_2(server, HOST).await, "ours");
    assert_eq!(over_http_2(server, "evil.example").await, "");
}

#[cfg(feature = "hmac")]
#[tokio::test]
async fn per_host_derivation_on_a_server_uses_a_host_that_the_caller_chooses() {
    use tower_session_affinity::AffinitySecret;

    let secret = AffinitySecret::new(&[7; 32]).unwrap();
    let mut servers = JoinSet::new();
    let layer = SessionAffinityLayer::new()
        .or(KEY)
        .derive_per_host(secret.clone());
    let server = serve(&mut servers, layer).await;
    assert_eq!(over_http_1(server, "/v1/chat", HOST).await, "");
    let at_host = over_http_2(server, HOST).await;
    assert_eq!(
        at_host,
        over_http_1(server, &format!("http://{HOST}/"), "h").await
    );
    assert_ne!(at_host, over_http_2(server, "evil.example").await);

    // With a label the caller has no influence, and every form of request gets the key.
    let layer = SessionAffinityLayer::new().or(KEY).derive_for(secret, HOST);
    let server = serve(&mut servers, layer).await;
    assert_eq!(
        over_http_1(server, "/v1/chat", "evil.example").await,
        at_host
    );
    assert_eq!(over_http_2(server, "evil.example").await, at_host);
}

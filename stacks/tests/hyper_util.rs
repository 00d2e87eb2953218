//! hyper-util: its pooled client, and a server.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Builder, Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{
    FromHeaders, HostPattern, SessionAffinity, SessionAffinityLayer, header,
};

use crate::support::{Server, connector, key};

type HyperClient = Client<HttpConnector, Full<Bytes>>;

/// The wiring of a client.
fn client(builder: &Builder) -> SessionAffinity<HyperClient> {
    ServiceBuilder::new()
        .layer(SessionAffinityLayer::new())
        .service(builder.build(connector()))
}

/// The wiring of a server: the service inside the layer sees one header, whichever name the caller used.
async fn serve(listener: TcpListener) {
    let service = ServiceBuilder::new()
        .layer(SessionAffinityLayer::new().or(FromHeaders::new([header::X_SESSION_ID])))
        .service(service_fn(show_lines));
    let service = TowerToHyperService::new(service);
    while let Ok((stream, _)) = listener.accept().await {
        let builder = auto::Builder::new(TokioExecutor::new());
        let service = service.clone();
        tokio::spawn(async move {
            builder
                .serve_connection(TokioIo::new(stream), service)
                .await
        });
    }
}

async fn show_lines<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let values = request.headers().get_all(header::X_SESSION_AFFINITY).iter();
    let lines: Vec<_> = values.map(|value| value.to_str().expect("ASCII")).collect();
    Ok(Response::new(Full::from(lines.join("\n"))))
}

fn http1() -> Builder {
    Client::builder(TokioExecutor::new())
}

fn http2() -> Builder {
    let mut builder = http1();
    builder.http2_only(true);
    builder
}

#[tokio::test]
async fn sends_one_line_over_http1_and_over_http2() {
    for (builder, version) in [(http1(), Version::HTTP_11), (http2(), Version::HTTP_2)] {
        let server = Server::start().await;
        let request = Request::get(server.url("/")).extension(key("chat-7"));
        let request = request.body(Full::default()).unwrap();

        client(&builder).oneshot(request).await.unwrap();

        assert_eq!(server.arrivals()[0].version, version);
        assert_eq!(server.lines(), [["chat-7"]]);
    }
}

#[tokio::test]
async fn sends_the_callers_first_line_alone_over_http1_and_over_http2() {
    for builder in [http1(), http2()] {
        let server = Server::start().await;
        let request = Request::get(server.url("/"))
            .header("x-session-affinity", " ")
            .header("x-session-affinity", "theirs")
            .header("X-Session-Affinity", "theirs too")
            .extension(key("chat-7"));
        let request = request.body(Full::default()).unwrap();

        client(&builder).oneshot(request).await.unwrap();

        assert_eq!(server.lines(), [["theirs"]]);
    }
}

#[tokio::test]
async fn one_pooled_client_carries_every_conversation_under_its_own_key() {
    let server = Server::start().await;
    let client = client(&http1());
    for name in ["a", "b", "a"] {
        let request = Request::get(server.url("/")).extension(key(name));
        let request = request.body(Full::default()).unwrap();
        client.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(server.lines(), [["a"], ["b"], ["a"]]);
}

#[tokio::test]
async fn sends_nothing_to_a_host_that_is_not_listed() {
    let (listed, unlisted) = (Server::start().await, Server::start().await);
    let hosts: [HostPattern; 1] = [listed.authority().parse().unwrap()];
    let client = ServiceBuilder::new()
        .layer(
            SessionAffinityLayer::new()
                .or(key("chat-7"))
                .only_hosts(hosts),
        )
        .service(http1().build::<_, Full<Bytes>>(connector()));
    for server in [&listed, &unlisted] {
        let request = Request::get(server.url("/")).body(Full::default()).unwrap();
        client.clone().oneshot(request).await.unwrap();
    }
    assert_eq!(listed.lines(), [["chat-7"]]);
    assert_eq!(unlisted.lines(), [Vec::<String>::new()]);
}

#[tokio::test]
async fn a_server_shows_its_service_the_callers_session_as_one_header() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(serve(listener));
    for (builder, name) in [(http1(), "over-http1"), (http2(), "over-http2")] {
        let request = Request::get(&url).header("x-session-id", name);
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = builder.build(connector()).request(request).await.unwrap();
        let shown = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(shown, name);
    }
    server.abort();
}

/// Reads the option of the socket, because a test that measures the wait would depend on timing.
#[tokio::test]
async fn the_connector_switches_off_nagles_algorithm() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let stream = connector().oneshot(url.parse().unwrap()).await.unwrap();
    assert!(stream.inner().nodelay().unwrap());
}

//! tonic: a channel and a server, where the key is gRPC metadata.

use std::sync::{Arc, Mutex};

use http::Uri;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{self, Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tonic_health::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response};
use tonic_health::server::{HealthReporter, HealthService, WatchStream};
use tower::ServiceBuilder;
use tower_session_affinity::{
    AffinityScopeLayer, FromExtension, FromHeaders, FromScope, HostPattern, Or, SessionAffinity,
    SessionAffinityLayer, header,
};

use crate::support::{Server, key, or_hung};

const SERVING: i32 = health_check_response::ServingStatus::Serving as i32;
const NOT_SERVING: i32 = health_check_response::ServingStatus::NotServing as i32;

/// The wiring of a client: xAI reads the conversation from this header.
fn client(channel: Channel) -> HealthClient<SessionAffinity<Channel>> {
    let layer = SessionAffinityLayer::new().header_name(header::X_GROK_CONV_ID);
    HealthClient::new(ServiceBuilder::new().layer(layer).service(channel))
}

/// The wiring of a client with a list of hosts, which needs the origin.
fn client_of(
    channel: Channel,
    origin: Uri,
    host: HostPattern,
) -> HealthClient<SessionAffinity<Channel>> {
    let layer = SessionAffinityLayer::new().only_hosts([host]);
    HealthClient::with_origin(ServiceBuilder::new().layer(layer).service(channel), origin)
}

/// The wiring of a server: every service sees one header, whichever name the caller used.
async fn serve<S: Health>(service: S, listener: TcpListener) -> Result<(), transport::Error> {
    transport::Server::builder()
        .layer(SessionAffinityLayer::new().or(FromHeaders::new([header::X_GROK_CONV_ID])))
        .add_service(HealthServer::new(service))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await
}

/// Starts a health service behind a server that records.
async fn start_health() -> (Server, HealthReporter) {
    let reporter = HealthReporter::new();
    let service = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    let server = Server::with(Routes::new(service).prepare().into_axum_router()).await;
    (server, reporter)
}

async fn connect(url: String) -> Channel {
    Endpoint::from_shared(url).unwrap().connect().await.unwrap()
}

/// Asks for the health of the whole server, in a conversation.
fn ask(conversation: Option<&str>) -> Request<HealthCheckRequest> {
    let mut request = Request::new(HealthCheckRequest::default());
    if let Some(name) = conversation {
        request.extensions_mut().insert(key(name));
    }
    request
}

async fn next(stream: &mut Streaming<HealthCheckResponse>) -> i32 {
    let message = or_hung("a message of the stream", stream.message()).await;
    message.unwrap().expect("another message").status
}

#[tokio::test]
async fn a_unary_call_and_a_streaming_one_carry_their_own_key() {
    let (server, reporter) = start_health().await;
    let mut client = client(connect(server.url("")).await);

    client.check(ask(Some("a"))).await.unwrap();
    let mut watch = client.watch(ask(Some("b"))).await.unwrap().into_inner();
    client.check(ask(None)).await.unwrap();
    assert_eq!(next(&mut watch).await, SERVING);
    reporter
        .set_service_status("", ServingStatus::NotServing)
        .await;
    assert_eq!(next(&mut watch).await, NOT_SERVING);

    let lines = server.lines_of(&header::X_GROK_CONV_ID);
    assert_eq!(lines, [vec!["a"], vec!["b"], vec![]]);
}

#[tokio::test]
async fn metadata_of_the_caller_is_kept() {
    let (server, _reporter) = start_health().await;
    let mut client = client(connect(server.url("")).await);
    let mut request = ask(Some("ours"));
    request
        .metadata_mut()
        .insert("x-grok-conv-id", "theirs".parse().unwrap());
    client.check(request).await.unwrap();
    assert_eq!(server.lines_of(&header::X_GROK_CONV_ID), [["theirs"]]);
}

#[tokio::test]
async fn a_list_of_hosts_needs_the_origin_of_the_client() {
    let (server, _reporter) = start_health().await;
    let host: HostPattern = server.authority().parse().unwrap();
    let origin: Uri = server.url("").parse().unwrap();
    let channel = connect(server.url("")).await;
    let mut client = client_of(channel, origin, host);
    client.check(ask(Some("chat-7"))).await.unwrap();
    assert_eq!(server.lines(), [["chat-7"]]);
}

/// What the docs warn of: a channel adds its host, or the origin of its endpoint, below the layer.
#[tokio::test]
async fn a_list_of_hosts_lets_nothing_through_without_it() {
    let (server, _reporter) = start_health().await;
    let host: HostPattern = server.authority().parse().unwrap();
    let endpoint = Endpoint::from_shared(server.url("")).unwrap();
    let with_origin = endpoint.clone().origin(server.url("").parse().unwrap());
    for endpoint in [endpoint, with_origin] {
        let layer = SessionAffinityLayer::new().only_hosts([host.clone()]);
        let channel = endpoint.connect().await.unwrap();
        let mut client = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel));
        client.check(ask(Some("chat-7"))).await.unwrap();
    }
    assert_eq!(server.lines(), [Vec::<String>::new(), vec![]]);
}

/// Records the `x-session-affinity` metadata of each call.
#[derive(Clone, Default)]
struct Remember(Arc<Mutex<Vec<Vec<String>>>>);

impl Remember {
    fn remember<T>(&self, request: &Request<T>) {
        let values = request.metadata().get_all("x-session-affinity");
        let lines = values
            .iter()
            .map(|value| value.to_str().expect("ASCII").to_owned());
        self.0
            .lock()
            .expect("no panic while it is locked")
            .push(lines.collect());
    }
}

#[tonic::async_trait]
impl Health for Remember {
    type WatchStream = WatchStream;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.remember(&request);
        Ok(Response::new(HealthCheckResponse::default()))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<WatchStream>, Status> {
        self.remember(&request);
        HealthService::from_health_reporter(HealthReporter::new())
            .watch(request)
            .await
    }
}

#[tokio::test]
async fn a_server_shows_its_services_the_callers_conversation_as_one_header() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = Remember::default();
    let server = tokio::spawn(serve(service.clone(), listener));

    let mut client = client(connect(url).await);
    client.check(ask(Some("a"))).await.unwrap();
    let mut watch = client.watch(ask(Some("b"))).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await, SERVING);

    assert_eq!(*service.0.lock().unwrap(), [["a"], ["b"]]);
    server.abort();
}

/// A service that forwards each call.
struct Relay(HealthClient<SessionAffinity<Channel, Or<FromExtension, FromScope>>>);

impl Relay {
    fn new(upstream: Channel) -> Self {
        let layer = SessionAffinityLayer::new().or(FromScope);
        Self(HealthClient::new(
            ServiceBuilder::new().layer(layer).service(upstream),
        ))
    }
}

#[tonic::async_trait]
impl Health for Relay {
    type WatchStream = Streaming<HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.0.clone().check(request.into_inner()).await
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.0.clone().watch(request.into_inner()).await
    }
}

#[tokio::test]
async fn what_a_service_calls_meanwhile_carries_the_callers_conversation() {
    let (upstream, _reporter) = start_health().await;
    let relay = Relay::new(connect(upstream.url("")).await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let scope = AffinityScopeLayer::new().or(FromHeaders::new([header::X_GROK_CONV_ID]));
    let server = transport::Server::builder()
        .layer(scope)
        .add_service(HealthServer::new(relay))
        .serve_with_incoming(TcpIncoming::from(listener));
    let server = tokio::spawn(server);

    let mut client = client(connect(url).await);
    client.check(ask(Some("a"))).await.unwrap();
    let mut watch = client.watch(ask(Some("b"))).await.unwrap().into_inner();
    assert_eq!(next(&mut watch).await, SERVING);
    client.check(ask(None)).await.unwrap();

    assert_eq!(upstream.lines(), [vec!["a"], vec!["b"], vec![]]);
    server.abort();
}

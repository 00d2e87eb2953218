//! rmcp: the HTTP client of the Model Context Protocol sends fixed headers, which `layer.stamp` sets.

use std::sync::Arc;

use axum::Router;
use http::{Extensions, HeaderMap, Method, request::Parts};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler, ServiceExt};
use tower_session_affinity::{FromScope, HostPattern, KeyExtractor, SessionAffinityLayer, header};

use crate::support::{Server, key, or_hung};

/// The wiring: a client for each conversation, since its transport sends from its own task.
fn config<K: KeyExtractor>(
    layer: &SessionAffinityLayer<K>,
    url: &str,
) -> StreamableHttpClientTransportConfig {
    let uri = url.parse().unwrap_or_default();
    let mut headers = HeaderMap::new();
    layer.stamp(&Method::POST, &uri, &mut headers, &Extensions::new());
    let headers = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    StreamableHttpClientTransportConfig::with_uri(url).custom_headers(headers.collect())
}

/// An MCP server whose only tool returns the session of its call.
///
/// Tools run in the task of their MCP session, which is outside the scope of the HTTP request.
struct WhoAmI;

impl ServerHandler for WhoAmI {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let head = context.extensions.get::<Parts>();
        let session = head.and_then(|head| head.headers.get(header::X_SESSION_AFFINITY));
        let session = session.map_or("nobody", |value| value.to_str().unwrap());
        Ok(CallToolResult::success(vec![ContentBlock::text(session)]).into())
    }
}

async fn start() -> Server {
    let service: StreamableHttpService<_, LocalSessionManager> = StreamableHttpService::new(
        || Ok(WhoAmI),
        Arc::default(),
        StreamableHttpServerConfig::default(),
    );
    Server::with(Router::new().nest_service("/mcp", service)).await
}

/// Opens a session, calls the tool and closes the session; returns what the tool answered.
async fn converse<K: KeyExtractor>(layer: &SessionAffinityLayer<K>, server: &Server) -> String {
    let config = config(layer, &server.url("/mcp"));
    let transport = StreamableHttpClientTransport::from_config(config);
    let mut client = ().serve(transport).await.unwrap();
    let call = client.call_tool(CallToolRequestParams::new("who_am_i"));
    let answer = call.await.unwrap();
    client.close().await.unwrap();
    answer.content[0].as_text().unwrap().text.clone()
}

#[tokio::test]
async fn every_request_of_a_client_carries_the_key_that_it_was_made_with() {
    let layer = SessionAffinityLayer::new().or(FromScope);
    for name in ["a", "b"] {
        let server = start().await;
        let session = key(name).scope(converse(&layer, &server));
        assert_eq!(or_hung("a session of MCP", session).await, name);
        // At least the handshake and the call.
        let lines = server.lines();
        assert!(lines.len() >= 3, "too few requests: {lines:?}");
        let carried = lines.iter().all(|lines| lines == &[name]);
        assert!(carried, "a request without the key {name}: {lines:?}");
    }
}

#[tokio::test]
async fn nothing_is_sent_to_a_host_that_is_not_listed() {
    let server = start().await;
    let layer = SessionAffinityLayer::new()
        .or(key("chat-7"))
        .only_hosts([HostPattern::from_static("mcp.example")]);
    let session = converse(&layer, &server);
    assert_eq!(or_hung("a session of MCP", session).await, "nobody");
    assert!(server.lines().iter().all(Vec::is_empty));
}

//! The client: hyper with TLS, and the layer that adds the key.

use std::error::Error;
use std::io;
use std::iter::successors;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use serde_json::json;
use tower::{Layer, ServiceExt};
use tower_session_affinity::{SessionAffinity, SessionAffinityLayer};

use crate::args::Args;
use crate::conversation::Conversation;
use crate::failure::{Failure, causes};
use crate::secret::ApiKey;

/// What speaks to the endpoint.
pub(crate) struct Client {
    pub(crate) api_key: ApiKey,
    pub(crate) replica_header: HeaderName,
    pub(crate) timeout: Duration,
    endpoint: Uri,
    authorization: Option<HeaderValue>,
    model: String,
    max_tokens: u32,
    http: SessionAffinity<legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

impl Client {
    /// Fails if the system has no certificates and the endpoint needs them.
    pub(crate) fn new(args: &Args, endpoint: Uri, api_key: ApiKey) -> io::Result<Self> {
        let layer = SessionAffinityLayer::new().header_name(args.header_name.clone());
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector(&endpoint)?);
        Ok(Self {
            authorization: api_key.bearer(),
            api_key,
            replica_header: args.replica_header.clone(),
            timeout: args.timeout(),
            endpoint,
            model: args.model.clone().unwrap_or_else(|| "simulated".to_owned()),
            max_tokens: args.max_tokens,
            http: layer.layer(http),
        })
    }

    /// Sends a conversation as it stands and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        conversation: &Conversation,
    ) -> Result<Response<Incoming>, Failure> {
        let sent = self.http.clone().oneshot(self.request(conversation));
        let answered = tokio::time::timeout(self.timeout, sent).await;
        let answered = answered.map_err(|_| Failure::Silent {
            limit: self.timeout,
        })?;
        answered.map_err(|error| {
            let reason = causes(&error);
            if let Some(expected) = not_spoken(&error) {
                Failure::OtherProtocol { expected, reason }
            } else if error.is_connect() {
                Failure::Connect {
                    endpoint: shown(&self.endpoint),
                    reason,
                }
            } else {
                Failure::Closed { reason }
            }
        })
    }

    fn request(&self, conversation: &Conversation) -> Request<Full<Bytes>> {
        let body = json!({
            "model": self.model,
            "messages": conversation.messages,
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": self.max_tokens,
            // The same answers in every run, so that two runs send the same prompts.
            "temperature": 0,
        });
        let mut request = Request::new(Full::from(body.to_string()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let json = HeaderValue::from_static("application/json");
        let agent = HeaderValue::from_static(concat!("affinity-probe/", env!("CARGO_PKG_VERSION")));
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert(
            header::ACCEPT,
            HeaderValue::from_static("text/event-stream"),
        );
        headers.insert(header::USER_AGENT, agent);
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        // The whole difference between the two arms.
        if let Some(key) = conversation.key() {
            request.extensions_mut().insert(key.clone());
        }
        request
    }
}

/// Returns the protocol that the other side has shown not to speak.
fn not_spoken(error: &legacy::Error) -> Option<&'static str> {
    let mut causes = successors(error.source(), |&cause| {
        // What an I/O error was made of is not its source.
        let io = cause.downcast_ref().and_then(io::Error::get_ref);
        io.map_or_else(|| cause.source(), |cause| Some(cause))
    });
    causes.find_map(|cause| {
        if let Some(rustls::Error::InvalidMessage(_)) = cause.downcast_ref() {
            return Some("TLS");
        }
        let http: &hyper::Error = cause.downcast_ref()?;
        http.is_parse().then_some("HTTP")
    })
}

/// Returns an address without its query, which may hold a credential.
pub(crate) fn shown(endpoint: &Uri) -> String {
    let scheme = endpoint.scheme_str().unwrap_or("http");
    let authority = endpoint
        .authority()
        .map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}{}", endpoint.path())
}

fn connector(endpoint: &Uri) -> io::Result<HttpsConnector<HttpConnector>> {
    let tls = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    // Without TLS there is no need to read some hundred certificates, or to fail for want of them.
    let tls = if endpoint.scheme_str() == Some("https") {
        tls.with_native_roots()?
    } else {
        tls.with_root_certificates(RootCertStore::empty())
    };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(Duration::from_secs(10)));
    let https = HttpsConnectorBuilder::new().with_tls_config(tls.with_no_client_auth());
    Ok(https.https_or_http().enable_http1().wrap_connector(tcp))
}

//! The HTTP client: hyper with TLS, and the layer that sets the key's header.

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
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use tower::{Layer, ServiceExt};
use tower_session_affinity::{SessionAffinity, SessionAffinityLayer};

use crate::args::Args;
use crate::conversation::Conversation;
use crate::dialect::{Ask, Dialect};
use crate::extra::Extra;
use crate::failure::{Failure, SHOWN, causes};
use crate::hint;
use crate::secret::{ApiKey, Secrets};
use crate::variant::{Carrier, Variants};

type Http = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client of one endpoint.
pub(crate) struct Client {
    pub(crate) dialect: &'static dyn Dialect,
    pub(crate) secrets: Secrets,
    pub(crate) replica_header: HeaderName,
    pub(crate) timeout: Duration,
    pub(crate) request_timeout: Duration,
    endpoint: Uri,
    api_key: ApiKey,
    extra: Extra,
    model: String,
    max_tokens: u32,
    variants: Variants,
    http: Http,
}

/// How to call an endpoint: its API, credentials, and changes to the requests.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) dialect: &'static dyn Dialect,
    pub(crate) api_key: ApiKey,
    pub(crate) extra: Extra,
    pub(crate) secrets: Secrets,
}

impl Client {
    /// # Errors
    ///
    /// If the endpoint needs TLS and the root certificates of the system cannot be loaded.
    pub(crate) fn new(
        args: &Args,
        endpoint: Uri,
        access: Access,
        variants: Variants,
    ) -> io::Result<Self> {
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector(&endpoint)?);
        Ok(Self {
            dialect: access.dialect,
            secrets: access.secrets,
            replica_header: args.replica_header.clone(),
            timeout: args.timeout(),
            request_timeout: args.request_timeout(),
            endpoint,
            api_key: access.api_key,
            extra: access.extra,
            model: args.model.clone().unwrap_or_else(|| "simulated".to_owned()),
            max_tokens: args.max_tokens,
            variants,
            http,
        })
    }

    /// Sends the conversation so far and waits for the response head.
    pub(crate) async fn send(
        &self,
        conversation: &Conversation,
    ) -> Result<Response<Incoming>, Failure> {
        let sent = self
            .layered(conversation)
            .oneshot(self.request(conversation));
        let limit = self.timeout.min(self.request_timeout);
        let answered = timeout_at(Instant::now() + limit, sent).await;
        let answered = answered.map_err(|_| {
            if limit < self.timeout {
                Failure::TookTooLong { chunks: 0, limit }
            } else {
                Failure::Silent { limit }
            }
        })?;
        answered.map_err(|error| {
            let reason = self.secrets.clean(causes(&error).as_bytes(), SHOWN);
            if let Some(expected) = protocol_not_spoken(&error) {
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

    /// Returns the client with the layer that sets the header of the conversation's variant.
    fn layered(&self, conversation: &Conversation) -> SessionAffinity<Http> {
        let layer = match self.variants.carrier(conversation.variant) {
            Some(Carrier::Header(name)) => SessionAffinityLayer::new().header_name(name.clone()),
            _ => SessionAffinityLayer::new(),
        };
        layer.layer(self.http.clone())
    }

    /// Returns the body of a request, without a key.
    fn body(&self, conversation: &Conversation) -> Map<String, Value> {
        let mut body = self.dialect.body(&Ask {
            model: &self.model,
            messages: &conversation.messages,
            max_tokens: self.max_tokens,
        });
        self.extra.body(&mut body);
        body
    }

    /// Returns what to try, if the text of a rejection names a field that was sent.
    pub(crate) fn hint(&self, conversation: &Conversation, rejection: &str) -> Option<String> {
        match self.variants.carrier(conversation.variant) {
            Some(Carrier::BodyField(name)) if hint::names(rejection, name) => {
                Some("The endpoint does not accept the field named by --body-field.".to_owned())
            }
            _ => hint::refused_field(rejection, &self.body(conversation)),
        }
    }

    fn request(&self, conversation: &Conversation) -> Request<Full<Bytes>> {
        let mut body = self.body(conversation);
        let carrier = self
            .variants
            .carrier(conversation.variant)
            .zip(conversation.key());
        if let Some((Carrier::BodyField(name), key)) = carrier {
            body.insert(name.clone(), key.as_str().into());
        }
        let mut request = Request::new(Full::from(Value::Object(body).to_string()));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let agent = concat!("affinity-probe/", env!("CARGO_PKG_VERSION"));
        let headers = request.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, "application/json"),
            (header::ACCEPT, "text/event-stream"),
            // A proxy that compresses a stream delays its first tokens.
            (header::ACCEPT_ENCODING, "identity"),
            (header::USER_AGENT, agent),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        self.dialect.head(&self.api_key, headers);
        self.extra.head(headers);
        // The key is the only difference between the variants.
        if let Some((Carrier::Header(_), key)) = carrier {
            request.extensions_mut().insert(key.clone());
        }
        request
    }
}

/// Returns the protocol that the server does not speak, if the error shows that.
fn protocol_not_spoken(error: &legacy::Error) -> Option<&'static str> {
    let mut causes = successors(error.source(), |&cause| {
        // `source` of an I/O error skips the error that it wraps.
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

/// Returns an address without its query, which may contain a credential.
pub(crate) fn shown(endpoint: &Uri) -> String {
    let scheme = endpoint.scheme_str().unwrap_or("http");
    let authority = endpoint
        .authority()
        .map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}{}", endpoint.path())
}

fn no_roots(error: &io::Error) -> io::Error {
    let help = "set SSL_CERT_FILE to a file of root certificates";
    io::Error::other(format!(
        "cannot load the root certificates: {error}; {help}"
    ))
}

fn connector(endpoint: &Uri) -> io::Result<HttpsConnector<HttpConnector>> {
    let tls = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    // Without TLS, a system without root certificates is not an error.
    let tls = if endpoint.scheme_str() == Some("https") {
        tls.with_native_roots().map_err(|error| no_roots(&error))?
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

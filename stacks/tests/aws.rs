//! The AWS SDK: an interceptor, here in an operation of the SDK's runtime.

use std::convert::Infallible;
use std::fmt::Debug;

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::timeout::TimeoutConfig;
use hyper_util::client::legacy::{Client, connect};
use hyper_util::rt::TokioExecutor;
use tower_session_affinity::{FromScope, HostPattern, KeyExtractor, SessionAffinityLayer};

use crate::support::{Server, connector, key};

/// The wiring: `.interceptor(Affinity(layer))` in a client's configuration.
#[derive(Debug)]
struct Affinity<K>(SessionAffinityLayer<K>);

impl<K: KeyExtractor + Debug + Send + Sync> Intercept for Affinity<K> {
    fn name(&self) -> &'static str {
        "session affinity"
    }

    /// Sets the header before the request is signed, so that the signature covers it.
    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let owned = std::mem::replace(request, HttpRequest::empty());
        let (mut head, body) = owned.try_into_http1x()?.into_parts();
        let headers = &mut head.headers;
        self.0
            .stamp(&head.method, &head.uri, headers, &head.extensions);
        *request = http::Request::from_parts(head, body).try_into()?;
        Ok(())
    }
}

/// Sends over plain TCP.
#[derive(Clone, Debug)]
struct Connector(Client<connect::HttpConnector, SdkBody>);

impl Connector {
    async fn send(self, request: HttpRequest) -> Result<HttpResponse, BoxError> {
        let response = self.0.request(request.try_into_http1x()?).await?;
        Ok(response.map(SdkBody::from_body_1_x).try_into()?)
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let response = self.clone().send(request);
        HttpConnectorFuture::new(async {
            response
                .await
                .map_err(|error| ConnectorError::other(error, None))
        })
    }
}

/// An operation with the interceptor, as a generated client would have it.
fn operation<K>(
    server: &Server,
    layer: SessionAffinityLayer<K>,
    theirs: Option<&'static str>,
) -> Operation<(), (), Infallible>
where
    K: KeyExtractor + Debug + Send + Sync + 'static,
{
    let client = Connector(Client::builder(TokioExecutor::new()).build(connector()));
    let client = SharedHttpConnector::new(client);
    Operation::builder()
        .service_name("bedrock")
        .operation_name("converse")
        .endpoint_url(&server.url(""))
        .http_client(http_client_fn(move |_, _| client.clone()))
        .interceptor(Affinity(layer))
        .no_auth()
        .no_retry()
        .timeout_config(TimeoutConfig::disabled())
        .serializer(move |()| {
            let mut request = HttpRequest::new(SdkBody::from("a prompt"));
            request.set_method("POST")?;
            request.set_uri("/model/stub/converse")?;
            if let Some(theirs) = theirs {
                request.headers_mut().append("x-session-affinity", theirs);
                request
                    .headers_mut()
                    .append("x-session-affinity", "another");
            }
            Ok(request)
        })
        .deserializer(|_| Ok(()))
        .build()
}

#[tokio::test]
async fn an_operation_carries_the_key_of_the_scope() {
    let server = Server::start().await;
    let operation = operation(&server, SessionAffinityLayer::new().or(FromScope), None);
    for name in ["a", "b"] {
        key(name).scope(operation.invoke(())).await.unwrap();
    }
    operation.invoke(()).await.unwrap();
    assert_eq!(server.lines(), [vec!["a"], vec!["b"], vec![]]);
    assert_eq!(server.arrivals()[0].path, "/model/stub/converse");
}

#[tokio::test]
async fn a_header_of_the_caller_is_kept_alone() {
    let server = Server::start().await;
    let layer = SessionAffinityLayer::new().or(key("ours"));
    operation(&server, layer, Some("theirs"))
        .invoke(())
        .await
        .unwrap();
    assert_eq!(server.lines(), [["theirs"]]);
}

#[tokio::test]
async fn a_list_of_hosts_sees_the_endpoint() {
    let (listed, unlisted) = (Server::start().await, Server::start().await);
    let host: HostPattern = listed.authority().parse().unwrap();
    let layer = SessionAffinityLayer::new()
        .or(key("chat-7"))
        .only_hosts([host]);
    for server in [&listed, &unlisted] {
        operation(server, layer.clone(), None)
            .invoke(())
            .await
            .unwrap();
    }
    assert_eq!(listed.lines(), [["chat-7"]]);
    assert_eq!(unlisted.lines(), [Vec::<String>::new()]);
}

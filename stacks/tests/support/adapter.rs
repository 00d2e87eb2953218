//! The ways to put the layer into a client.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{io, vec};

use http::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, dns::Name};
use hyper_util::rt::TokioExecutor;
use reqwest_middleware::ClientBuilder;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_reqwest::HttpClientLayer;
use tower_session_affinity::{KeyExtractor, SessionAffinityLayer};

/// A way to put the layer into a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Adapter {
    /// Around hyper-util's client.
    Hyper,
    /// A call of `layer.stamp`, as in a hook.
    Stamp,
    /// Around a reqwest client, with the feature `reqwest`.
    Reqwest,
    /// Around a reqwest client with middleware, with the feature `reqwest`.
    AroundMiddleware,
    /// A middleware of a reqwest client, with the feature `reqwest-middleware`.
    Middleware,
    /// Around the service of the crate `tower-reqwest`.
    TowerReqwest,
}

/// The addresses of the hosts of a test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts(Arc<HashMap<String, SocketAddr>>);

impl Adapter {
    pub(crate) const ALL: [Self; 6] = [
        Self::Hyper,
        Self::Stamp,
        Self::Reqwest,
        Self::AroundMiddleware,
        Self::Middleware,
        Self::TowerReqwest,
    ];

    /// Returns whether the layer sees the request's extensions, which reqwest hides.
    pub(crate) fn sees_extensions(self) -> bool {
        !matches!(self, Self::Reqwest | Self::AroundMiddleware)
    }

    pub(crate) async fn send<K>(
        self,
        layer: SessionAffinityLayer<K>,
        hosts: &Hosts,
        request: Request<String>,
    ) -> StatusCode
    where
        K: KeyExtractor + Clone + Send + Sync + 'static,
    {
        match self {
            Self::Hyper => {
                let client = layer.layer(hosts.hyper());
                client.oneshot(request).await.unwrap().status()
            }
            Self::Stamp => {
                let (mut head, body) = request.into_parts();
                layer.stamp(&head.method, &head.uri, &mut head.headers, &head.extensions);
                let request = Request::from_parts(head, body);
                hosts.hyper().request(request).await.unwrap().status()
            }
            Self::Reqwest => {
                let client = layer.layer(hosts.reqwest());
                let request = request.try_into().unwrap();
                client.oneshot(request).await.unwrap().status()
            }
            Self::AroundMiddleware => {
                let client = layer.layer(ClientBuilder::new(hosts.reqwest()).build());
                let request = request.try_into().unwrap();
                client.oneshot(request).await.unwrap().status()
            }
            Self::Middleware => {
                let (mut head, body) = request.into_parts();
                let mut extensions = std::mem::take(&mut head.extensions);
                let request = Request::from_parts(head, body).try_into().unwrap();
                let client = ClientBuilder::new(hosts.reqwest()).with(layer).build();
                let sent = client.execute_with_extensions(request, &mut extensions);
                sent.await.unwrap().status()
            }
            Self::TowerReqwest => {
                let client = ServiceBuilder::new()
                    .layer(layer)
                    .layer(HttpClientLayer)
                    .service(hosts.reqwest());
                let request = request.map(reqwest::Body::from);
                client.oneshot(request).await.unwrap().status()
            }
        }
    }
}

impl Hosts {
    pub(crate) fn new(hosts: impl IntoIterator<Item = (String, SocketAddr)>) -> Self {
        Self(Arc::new(hosts.into_iter().collect()))
    }

    fn hyper(&self) -> Client<HttpConnector<Self>, String> {
        let mut connector = HttpConnector::new_with_resolver(self.clone());
        connector.set_nodelay(true);
        Client::builder(TokioExecutor::new()).build(connector)
    }

    fn reqwest(&self) -> reqwest::Client {
        let builder = reqwest::Client::builder();
        let builder = self.0.iter().fold(builder, |builder, (host, address)| {
            builder.resolve(host, *address)
        });
        builder.build().expect("a client")
    }
}

/// Resolves the host names of a test.
impl Service<Name> for Hosts {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let address = self.0.get(name.as_str());
        ready(address.map_or_else(
            || Err(io::ErrorKind::NotFound.into()),
            |address| Ok(vec![*address].into_iter()),
        ))
    }
}

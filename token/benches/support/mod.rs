//! A gateway that responds at once, and exchanges with it.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::{HeaderValue, Request, Response, StatusCode};
use tower_affinity_token::{AffinityTokenLayer, TokenStore, header::X_SESSION_TOKEN};
use tower_layer::Layer;
use tower_service::Service;
use tower_session_affinity::{AffinityKey, FromExtension};

const URI: &str = "https://api.example.com/v1/chat/completions";

/// A token like Envoy's.
pub(crate) const TOKEN: HeaderValue = HeaderValue::from_static("MTI3LjAuMC4xOjI5MDAx");

/// A different token.
pub(crate) const NEW: HeaderValue = HeaderValue::from_static("MTI3LjAuMC4xOjI5MDAy");

/// Responds to each request, with this status and perhaps a token.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) status: StatusCode,
    pub(crate) token: Option<HeaderValue>,
}

impl Gateway {
    pub(crate) fn new(token: Option<HeaderValue>) -> Self {
        Self {
            status: StatusCode::OK,
            token,
        }
    }
}

impl Service<Request<()>> for Gateway {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        drop(black_box(request));
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        if let Some(token) = &self.token {
            response
                .headers_mut()
                .insert(X_SESSION_TOKEN, token.clone());
        }
        ready(Ok(response))
    }
}

/// Sends a request and waits for its response.
#[inline]
pub(crate) fn exchange<S>(service: &mut S, request: Request<()>)
where
    S: Service<Request<()>, Future: Unpin>,
{
    let mut future = service.call(request);
    let mut context = Context::from_waker(Waker::noop());
    assert!(black_box(Pin::new(&mut future).poll(&mut context)).is_ready());
}

/// A request with the five headers of a typical one to a language model.
pub(crate) fn request(key: Option<AffinityKey>) -> Request<()> {
    let mut request = Request::post(URI);
    for name in [
        "host",
        "user-agent",
        "accept",
        "content-type",
        "authorization",
    ] {
        request = request.header(name, "value");
    }
    if let Some(key) = key {
        request = request.extension(key);
    }
    request.body(()).expect("a valid request")
}

/// The key of the session with this number: a UUID, like most ids.
pub(crate) fn key(number: usize) -> AffinityKey {
    let id = format!("018f2b6c-7d3e-7a1b-8c4d-{number:012x}");
    id.try_into().expect("a valid key")
}

/// Lets the gateway issue `TOKEN` to the session with this number.
pub(crate) fn remember<St: TokenStore + Clone>(
    layer: &AffinityTokenLayer<FromExtension, St>,
    number: usize,
) {
    let mut service = layer.layer(Gateway::new(Some(TOKEN)));
    exchange(&mut service, request(Some(key(number))));
}

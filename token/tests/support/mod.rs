//! A gateway that responds as the request says, and returns the headers that reached it.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, Request, Response};
use tokio_test::task::{Spawn, spawn};
use tower::{Service, ServiceExt};
use tower_affinity_token::{AffinityToken, AffinityTokenLayer, ResponseFuture, TokenStore, header};
use tower_layer::Layer;
use tower_session_affinity::{AffinityKey, KeyExtractor};
use tower_test::mock;

pub(crate) const TOKEN: HeaderName = header::X_SESSION_TOKEN;

/// The innermost service.
#[derive(Clone, Debug)]
pub(crate) struct Gateway;

/// The response to a request, in its extensions.
#[derive(Clone)]
struct Answer(Response<()>);

impl Service<Request<()>> for Gateway {
    type Response = Response<HeaderMap>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<()>) -> Self::Future {
        let answer = request.extensions_mut().remove::<Answer>();
        let Answer(answer) = answer.expect("the request has no `Answer`");
        ready(Ok(answer.map(|()| request.headers().clone())))
    }
}

pub(crate) fn client<K, St>(layer: &AffinityTokenLayer<K, St>) -> AffinityToken<Gateway, K, St>
where
    K: KeyExtractor + Clone,
    St: TokenStore + Clone,
{
    layer.layer(Gateway)
}

/// A request of the session with this key.
pub(crate) fn turn(uri: &str, key: &'static str) -> Request<()> {
    let request = Request::get(uri).extension(AffinityKey::from_static(key));
    request.body(()).unwrap()
}

pub(crate) fn answer(status: u16, token: Option<&str>) -> Response<()> {
    let mut response = Response::builder().status(status);
    if let Some(token) = token {
        response = response.header(TOKEN, token);
    }
    response.body(()).unwrap()
}

/// Sends a request and returns the headers that reached the gateway.
pub(crate) fn send<S>(client: &S, mut request: Request<()>, answer: Response<()>) -> HeaderMap
where
    S: Service<Request<()>, Response = Response<HeaderMap>, Error = Infallible> + Clone,
{
    request.extensions_mut().insert(Answer(answer));
    let response = tokio_test::block_on(client.clone().oneshot(request));
    response.unwrap().into_body()
}

/// Sends a turn of the session to this URI, and returns the token that it carried.
pub(crate) fn sent<S>(client: &S, uri: &str, key: &'static str) -> Option<String>
where
    S: Service<Request<()>, Response = Response<HeaderMap>, Error = Infallible> + Clone,
{
    let headers = send(client, turn(uri, key), answer(200, None));
    values(&headers).pop()
}

/// Lets the gateway issue a token to the session.
pub(crate) fn issue<S>(client: &S, uri: &str, key: &'static str, token: &str)
where
    S: Service<Request<()>, Response = Response<HeaderMap>, Error = Infallible> + Clone,
{
    send(client, turn(uri, key), answer(200, Some(token)));
}

/// All values of the token's header, in order.
pub(crate) fn values(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(TOKEN).iter();
    values
        .map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
        .collect()
}

type Waiting<St> = ResponseFuture<mock::future::ResponseFuture<Response<HeaderMap>>, St>;

/// A request whose response the test controls.
pub(crate) struct InFlight<St: TokenStore> {
    response: Spawn<Waiting<St>>,
    answer: mock::SendResponse<Response<HeaderMap>>,
    pub(crate) sent_with: Vec<String>,
}

impl<St: TokenStore> InFlight<St> {
    /// Sends a request and polls its future once.
    pub(crate) fn send<K>(layer: &AffinityTokenLayer<K, St>, request: Request<()>) -> Self
    where
        K: KeyExtractor + Clone,
        St: Clone,
    {
        let mut in_flight = Self::call(layer, request);
        assert!(in_flight.response.poll().is_pending());
        in_flight
    }

    /// Calls the service without polling its future.
    pub(crate) fn call<K>(layer: &AffinityTokenLayer<K, St>, request: Request<()>) -> Self
    where
        K: KeyExtractor + Clone,
        St: Clone,
    {
        let (inner, mut gateway) = mock::pair::<Request<()>, Response<HeaderMap>>();
        gateway.allow(1);
        let mut service = layer.layer(inner);
        tokio_test::block_on(service.ready()).unwrap();
        let response = spawn(service.call(request));
        let (request, answer) = tokio_test::block_on(gateway.next_request()).unwrap();
        Self {
            response,
            answer,
            sent_with: values(request.headers()),
        }
    }

    pub(crate) fn answer(self, status: u16, token: Option<&str>) {
        self.answer_with(answer(status, token));
    }

    pub(crate) fn answer_with(mut self, answer: Response<()>) {
        self.answer.send_response(answer.map(|()| HeaderMap::new()));
        assert!(matches!(self.response.poll(), Poll::Ready(Ok(_))));
    }

    /// Lets the inner service return an error.
    pub(crate) fn fail(mut self) {
        self.answer.send_error("broken");
        assert!(matches!(self.response.poll(), Poll::Ready(Err(_))));
    }
}

//! The service is transparent: readiness, calls, errors and clones are the inner service's.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{HeaderName, Request};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, FromExtension, SessionAffinity, SessionAffinityLayer, header,
};
use tower_test::{assert_request_eq, mock};

type Handle = mock::Handle<Request<&'static str>, &'static str>;
type Mock = mock::Mock<Request<&'static str>, &'static str>;

fn spawn() -> (mock::Spawn<SessionAffinity<Mock>>, Handle) {
    mock::spawn_layer(SessionAffinityLayer::new())
}

fn request() -> Request<&'static str> {
    let key = AffinityKey::from_static("chat-7");
    Request::post("/v1/chat")
        .extension(key)
        .body("hello")
        .unwrap()
}

#[test]
fn readiness_is_that_of_the_inner_service() {
    let (mut service, mut handle) = spawn();
    handle.allow(0);
    tokio_test::assert_pending!(service.poll_ready());
    handle.allow(1);
    tokio_test::assert_ready_ok!(service.poll_ready());
    let _call = service.call(request());
    tokio_test::assert_pending!(service.poll_ready());
}

#[test]
fn a_readiness_error_passes_through() {
    let (mut service, mut handle) = spawn();
    handle.send_error("overloaded");
    let error = tokio_test::assert_ready_err!(service.poll_ready());
    assert_eq!(error.to_string(), "overloaded");
}

#[tokio::test]
async fn a_call_reaches_the_inner_service_with_its_body_and_one_header() {
    let (mut service, mut handle) = spawn();
    tokio_test::assert_ready_ok!(service.poll_ready());
    let response = service.call(request());
    let (received, reply) = handle.next_request().await.unwrap();
    assert_eq!(received.body(), &"hello");
    assert_eq!(received.uri(), "/v1/chat");
    assert_eq!(received.headers().len(), 1, "expected only our header");
    assert_eq!(received.headers()["x-session-affinity"], "chat-7");
    assert!(
        received.extensions().get::<AffinityKey>().is_some(),
        "expected the extensions to be kept"
    );
    reply.send_response("world");
    assert_eq!(response.await.unwrap(), "world");
}

#[tokio::test]
async fn an_error_passes_through_unchanged() {
    let (mut service, mut handle) = spawn();
    tokio_test::assert_ready_ok!(service.poll_ready());
    let response = service.call(request());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_error("upstream failed");
    assert_eq!(response.await.unwrap_err().to_string(), "upstream failed");
}

#[tokio::test]
async fn the_response_can_be_of_any_type() {
    let (mock, mut handle) = mock::pair::<u32, String>();
    let inner = mock.map_request(|request: Request<u32>| request.into_body());
    let service = SessionAffinityLayer::new().layer(inner);
    let response = tokio::spawn(service.oneshot(Request::new(7)));
    assert_request_eq!(handle, 7).send_response("seven".to_owned());
    assert_eq!(response.await.unwrap().unwrap(), "seven");
}

/// Requires `poll_ready` before each call, and panics if it is cloned.
struct Picky {
    ready: bool,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        panic!("the inner service was cloned")
    }
}

impl Service<Request<()>> for Picky {
    type Response = usize;
    type Error = &'static str;
    type Future = Ready<Result<usize, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without `poll_ready`"
        );
        ready(Ok(request.headers().len()))
    }
}

#[tokio::test]
async fn a_call_uses_the_service_that_was_polled_and_never_a_clone() {
    let layer = SessionAffinityLayer::new().or(AffinityKey::from_static("chat-7"));
    let mut service = layer.layer(Picky { ready: false });
    for _ in 0..2 {
        assert_eq!(
            service.ready().await.unwrap().call(Request::new(())).await,
            Ok(1)
        );
    }
}

#[test]
fn the_future_is_that_of_the_inner_service() {
    let layer = SessionAffinityLayer::new();
    let mut service = layer.layer(Picky { ready: true });
    let _future: Ready<Result<usize, &'static str>> = service.call(Request::new(()));
}

#[test]
fn the_inner_service_is_accessible() {
    let mut service = SessionAffinityLayer::new().layer(1);
    *service.get_mut() += 1;
    assert_eq!(service.get_ref(), &2);
    assert_eq!(service.into_inner(), 2);
}

#[tokio::test]
async fn layers_with_different_names_stack_and_the_outermost_wins_for_the_same_name() {
    let echo = service_fn(|request: Request<()>| async move {
        let value = |name: HeaderName| request.headers()[name].to_str().unwrap().to_owned();
        Ok::<_, &str>([
            value(header::X_SESSION_AFFINITY),
            value(header::X_SESSION_ID),
        ])
    });
    let fixed = |key| SessionAffinityLayer::new().or(AffinityKey::from_static(key));
    let service = ServiceBuilder::new()
        .layer(fixed("outer"))
        .layer(fixed("inner"))
        .layer(fixed("second").header_name(header::X_SESSION_ID))
        .service(echo);
    assert_eq!(
        service.oneshot(Request::new(())).await.unwrap(),
        ["outer", "second"]
    );
}

#[test]
fn a_layer_can_be_built_at_compile_time() {
    static LAYER: SessionAffinityLayer<FromExtension> = SessionAffinityLayer::new();
    let _: SessionAffinity<(), FromExtension> = LAYER.layer(());
}

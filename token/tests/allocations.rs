//! What a request allocates, and what stays allocated after it.

use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Waker};

use allocation_counter::measure;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use tower::service_fn;
use tower_affinity_token::{AffinityTokenLayer, MemoryStore, header::X_SESSION_TOKEN};
use tower_layer::Layer;
use tower_service::Service;
use tower_session_affinity::{AffinityKey, FromHeaders, header::X_SESSION_ID};

/// The size of hyper's read buffer; its header values are slices of it.
const READ_BUFFER: usize = 8 * 1024;

/// A request with five headers, so that a sixth does not make the map grow.
fn request(key: Option<AffinityKey>) -> Request<()> {
    let mut headers = HeaderMap::new();
    for name in [
        "host",
        "user-agent",
        "accept",
        "content-type",
        "authorization",
    ] {
        headers.insert(name, HeaderValue::from_static("x"));
    }
    let mut request = Request::get("https://api.example/v1/chat")
        .body(())
        .unwrap();
    *request.headers_mut() = headers;
    if let Some(key) = key {
        request.extensions_mut().insert(key);
    }
    request
}

fn key() -> AffinityKey {
    "chat-0123456789".parse().unwrap()
}

fn answer(token: Option<&'static str>) -> Response<()> {
    let mut response = Response::new(());
    if let Some(token) = token {
        response
            .headers_mut()
            .insert(X_SESSION_TOKEN, HeaderValue::from_static(token));
    }
    response
}

/// Counts the allocations between the request and its response, both of which outlive the count.
fn allocations(layer: &AffinityTokenLayer, request: Request<()>, answer: Response<()>) -> u64 {
    let (mut answer, mut received) = (Some(answer), None);
    let mut service = layer.layer(service_fn(|request: Request<()>| {
        received = Some(request);
        ready(Ok::<_, ()>(answer.take().unwrap()))
    }));
    let mut response = None;
    let counted = measure(|| {
        let mut future = service.call(request);
        let mut context = Context::from_waker(Waker::noop());
        response = Some(Pin::new(&mut future).poll(&mut context));
    });
    assert!(response.unwrap().is_ready());
    counted.count_total
}

/// Counts with a remembered `t1` that was sent before, since sending it first allocates its reference count.
fn allocations_later(request: impl Fn() -> Request<()>, token: Option<&'static str>) -> u64 {
    let layer = AffinityTokenLayer::new(X_SESSION_TOKEN);
    for token in [Some("t1"), None] {
        allocations(&layer, self::request(Some(key())), answer(token));
    }
    allocations(&layer, request(), answer(token))
}

#[test]
fn a_request_with_a_remembered_token_allocates_only_its_session() {
    assert_eq!(allocations_later(|| request(Some(key())), None), 1);
}

#[test]
fn a_response_that_repeats_the_token_allocates_nothing_more() {
    assert_eq!(allocations_later(|| request(Some(key())), Some("t1")), 1);
}

#[test]
fn a_response_with_a_new_token_allocates_only_a_copy_of_it() {
    assert_eq!(allocations_later(|| request(Some(key())), Some("t2")), 2);
}

#[test]
fn a_request_without_a_key_or_with_its_own_token_allocates_nothing() {
    assert_eq!(allocations_later(|| request(None), None), 0);
    let own = || {
        let mut request = request(Some(key()));
        let own = HeaderValue::from_static("own");
        request.headers_mut().insert(X_SESSION_TOKEN, own);
        request
    };
    assert_eq!(allocations_later(own, None), 0);
}

/// A header value like hyper's.
fn slice_of_a_read_buffer(text: &str) -> HeaderValue {
    let mut buffer = vec![b'x'; READ_BUFFER];
    buffer[100..100 + text.len()].copy_from_slice(text.as_bytes());
    let slice = Bytes::from(buffer).slice(100..100 + text.len());
    HeaderValue::from_maybe_shared(slice).unwrap()
}

#[test]
fn a_remembered_session_keeps_no_read_buffer_alive() {
    const SESSIONS: u64 = 10_000;
    let store = MemoryStore::new();
    let layer = AffinityTokenLayer::new(X_SESSION_TOKEN)
        .or(FromHeaders::new([X_SESSION_ID]))
        .store(store.clone());
    let kept = measure(|| {
        for number in 0..SESSIONS {
            // A key from a header shares the header's bytes.
            let mut request = request(None);
            let key = slice_of_a_read_buffer(&format!("chat-{number}"));
            request.headers_mut().insert(X_SESSION_ID, key);
            let mut answer = Response::new(());
            let token = slice_of_a_read_buffer(&format!("token-{number}"));
            answer.headers_mut().insert(X_SESSION_TOKEN, token);
            let mut answer = Some(answer);
            let mut service = layer.layer(service_fn(|_: Request<()>| {
                ready(Ok::<_, ()>(answer.take().unwrap()))
            }));
            let mut future = service.call(request);
            let mut context = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut future).poll(&mut context).is_ready());
        }
        assert_eq!(store.len(), 10_000);
    });
    let each = kept.bytes_current / i64::try_from(SESSIONS).unwrap();
    assert!(
        each < 256,
        "expected less than 256 bytes a session, found {each}"
    );
}

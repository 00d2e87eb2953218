//! Where keys and the layer allocate, and where they do not.

use std::convert::Infallible;
use std::future::ready;

use allocation_counter::measure;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tower::{Layer, Service};
use tower_session_affinity::{
    AffinityKey, Destinations, FromHeaders, KeyExtractor, MergePolicy, Outcome, RequestHead,
    SessionAffinityLayer, header,
};

use kept_keys::bytes_of_a_kept_key;

#[path = "support/kept_keys.rs"]
mod kept_keys;

/// Returns a request with five headers, so that a sixth does not make the map grow.
fn request() -> Request<()> {
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
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    request
}

fn allocations_of_a_call<K: KeyExtractor + Clone>(
    layer: &SessionAffinityLayer<K>,
    request: Request<()>,
) -> u64 {
    let inner = tower::service_fn(|request: Request<()>| {
        assert_eq!(request.headers()["x-session-affinity"], "chat-0123456789");
        std::mem::forget(request);
        std::future::ready(Ok::<_, ()>(()))
    });
    let mut service = layer.layer(inner);
    measure(|| drop(service.call(request))).count_total
}

fn key() -> AffinityKey {
    "chat-0123456789".parse().unwrap()
}

#[test]
fn setting_a_fixed_key_allocates_nothing() {
    let layer = SessionAffinityLayer::new().or(key());
    assert_eq!(allocations_of_a_call(&layer, request()), 0);
    let layer = layer.merge_policy(MergePolicy::Replace);
    assert_eq!(allocations_of_a_call(&layer, request()), 0);
}

#[test]
fn setting_a_key_from_the_extensions_allocates_nothing() {
    let mut request = request();
    request.extensions_mut().insert(key());
    assert_eq!(
        allocations_of_a_call(&SessionAffinityLayer::new(), request),
        0
    );
}

/// Counts the allocations of stamping a request that has its session in `x-session-id`.
fn allocations_of_a_session<K: KeyExtractor>(layer: &SessionAffinityLayer<K>, name: &str) -> u64 {
    let (mut head, ()) = request().into_parts();
    head.uri = "https://openrouter.ai/api/v1/chat/completions"
        .parse()
        .unwrap();
    let line = Bytes::from(b"x-session-id: chat-0123456789".to_vec());
    // As in hyper, the value is a slice of a buffer with a reference count.
    let value = HeaderValue::from_maybe_shared(line.slice(14..)).unwrap();
    head.headers.insert(header::X_SESSION_ID, value);
    // Reserved up front: growth of the map is not to be counted.
    head.headers.reserve(4);

    let counted = measure(|| {
        let outcome = layer.stamp(&head.method, &head.uri, &mut head.headers, &head.extensions);
        assert!(outcome.is_sent(), "{outcome:?}");
    });
    assert_eq!(head.headers[name], "chat-0123456789");
    counted.count_total
}

#[test]
fn setting_a_key_from_a_header_allocates_nothing() {
    let layer = SessionAffinityLayer::new().or(FromHeaders::new([header::X_SESSION_ID]));
    assert_eq!(allocations_of_a_session(&layer, "x-session-affinity"), 0);
}

#[test]
fn setting_an_adopted_session_allocates_nothing() {
    for policy in [MergePolicy::Keep, MergePolicy::Replace] {
        let layer = SessionAffinityLayer::new().adopt(header::CALLER_SESSIONS);
        let layer = layer.merge_policy(policy);
        assert_eq!(allocations_of_a_session(&layer, "x-session-affinity"), 0);
    }
}

#[test]
fn setting_a_key_from_a_closure_that_shares_the_header_bytes_allocates_nothing() {
    let layer = SessionAffinityLayer::new().or_fn(|req| req.key("x-session-id"));
    assert_eq!(allocations_of_a_session(&layer, "x-session-affinity"), 0);
    let copying =
        SessionAffinityLayer::new().or_fn(|req| req.headers().get("x-session-id")?.try_into().ok());
    // The bytes of the copy, and its reference count.
    let allocations = allocations_of_a_session(&copying, "x-session-affinity");
    assert_eq!(allocations, 2, "expected a closure that copies to allocate");
}

#[test]
fn setting_the_header_of_a_known_destination_allocates_nothing() {
    let layer = SessionAffinityLayer::new().destinations(Destinations::known());
    let fixed = layer.clone().or(key()).merge_policy(MergePolicy::Replace);
    assert_eq!(allocations_of_a_session(&fixed, "x-session-id"), 0);
    let adopting = layer.adopt([header::X_SESSION_ID]);
    assert_eq!(allocations_of_a_session(&adopting, "x-session-id"), 0);
}

#[test]
fn withholding_the_key_allocates_nothing() {
    let layer = SessionAffinityLayer::new()
        .or(key())
        .destinations(Destinations::known());
    let mut headers = request().into_parts().0.headers;
    headers.insert(header::X_SESSION_ID, HeaderValue::from_static("theirs"));
    let (head, ()) = Request::post("https://elsewhere.example/")
        .body(())
        .unwrap()
        .into_parts();
    let counted = measure(|| {
        let outcome = layer.stamp(&head.method, &head.uri, &mut headers, &head.extensions);
        assert_eq!(outcome, Outcome::HostNotAllowed);
    });
    assert_eq!(counted.count_total, 0, "expected no allocation");
    assert!(!headers.contains_key(header::X_SESSION_ID));
}

#[test]
fn cloning_a_key_allocates_nothing() {
    let text = "chat-0123456789";
    let value = || HeaderValue::try_from(text.to_owned()).unwrap();
    let mut with_room = String::with_capacity(64);
    with_room.push_str(text);
    for (origin, key) in [
        ("static", AffinityKey::from_static(text)),
        ("text", text.parse().unwrap()),
        ("string", text.to_owned().try_into().unwrap()),
        ("string with room", with_room.try_into().unwrap()),
        ("value", value().try_into().unwrap()),
        ("borrowed value", (&value()).try_into().unwrap()),
    ] {
        let clones = measure(|| drop([key.clone(), key.clone()]));
        assert_eq!(clones.count_total, 0, "{origin}");
    }
}

#[test]
fn a_key_from_a_borrowed_value_keeps_only_a_copy_of_its_bytes() {
    let value = HeaderValue::try_from("k".repeat(200)).unwrap();
    let mut key = None;
    let made = measure(|| key = AffinityKey::try_from(&value).ok());
    // The bytes, and the reference count that makes a clone free.
    assert!(
        made.bytes_current < 200 + 64,
        "expected a copy of 200 bytes and a reference count, found {} bytes",
        made.bytes_current
    );
    drop(key);
}

/// Returns the bytes that each kept key keeps alive if a service makes its keys with `key`.
fn bytes_kept_by(key: fn(RequestHead<'_>) -> Option<AffinityKey>) -> i64 {
    bytes_of_a_kept_key(|kept| {
        service_fn(move |request: Request<Incoming>| {
            kept.lock().unwrap().extend(key((&request).into()));
            ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
        })
    })
}

#[test]
fn owned_keys_do_not_keep_read_buffers_alive() {
    let by_hand: fn(RequestHead<'_>) -> _ =
        |head| AffinityKey::try_from(&head.headers()["x-session-id"]).ok();
    let owned: fn(RequestHead<'_>) -> _ =
        |head| head.key("x-session-id").map(AffinityKey::into_owned);
    for (name, key) in [("a copy", by_hand), ("`into_owned`", owned)] {
        let bytes = bytes_kept_by(key);
        assert!(
            bytes < 100,
            "{name} keeps {bytes} bytes per key, expected fewer than 100"
        );
    }
}

#[test]
fn keys_that_share_header_bytes_keep_read_buffers_alive() {
    // The documentation warns of this. Without it, the test above would prove nothing.
    let bytes = bytes_kept_by(|head| head.key("x-session-id"));
    assert!(
        bytes > 1000,
        "{bytes} bytes per key, expected more than 1000"
    );
}

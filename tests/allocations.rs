//! A key and a stamp allocate where it is said, and nowhere else.

use allocation_counter::measure;
use http::{HeaderMap, HeaderValue, Request};
use tower::{Layer, Service, service_fn};
use tower_session_affinity::{AffinityKey, KeyExtractor, MergePolicy, SessionAffinityLayer};

/// Five headers, so that the sixth does not make the map grow.
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
    let inner = service_fn(|request: Request<()>| {
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
fn a_stamp_with_a_fixed_key_allocates_nothing() {
    let layer = SessionAffinityLayer::new().or(key());
    assert_eq!(allocations_of_a_call(&layer, request()), 0);
    let layer = layer.merge_policy(MergePolicy::Replace);
    assert_eq!(allocations_of_a_call(&layer, request()), 0);
}

#[test]
fn a_stamp_with_an_extension_key_allocates_nothing() {
    let mut request = request();
    request.extensions_mut().insert(key());
    assert_eq!(
        allocations_of_a_call(&SessionAffinityLayer::new(), request),
        0
    );
}

#[test]
fn the_first_and_every_clone_of_a_key_allocates_nothing() {
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
fn a_key_from_a_borrowed_value_keeps_a_copy_of_its_bytes_alone() {
    let value = HeaderValue::try_from("k".repeat(200)).unwrap();
    let mut key = None;
    let made = measure(|| key = AffinityKey::try_from(&value).ok());
    // The bytes, and the reference count that makes a clone free.
    assert!(
        made.bytes_current < 200 + 64,
        "{} bytes",
        made.bytes_current
    );
    drop(key);
}

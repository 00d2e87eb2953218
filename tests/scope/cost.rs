//! What a scope allocates, and what a key that outlives its request keeps alive.

use std::convert::Infallible;
use std::future::{Ready, ready};

use allocation_counter::measure;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_session_affinity::{
    AffinityKey, AffinityScopeLayer, FromScope, KeyExtractor, Outcome, SessionAffinityLayer,
};

use crate::kept_keys::bytes_of_a_kept_key;
use crate::{INNER, by_session_id, now};

/// Counts the allocations of one request, from the call to the last frame of the response.
fn allocations_of<S, B>(mut service: S, request: Request<()>) -> u64
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body<Error = Infallible>,
{
    let counted = measure(|| {
        let response = now(service.call(request)).unwrap();
        now(response.into_body().collect()).unwrap();
    });
    counted.count_total
}

fn answer(request: Request<()>) -> Ready<Result<Response<Empty<Bytes>>, Infallible>> {
    std::mem::forget(request);
    ready(Ok(Response::new(Empty::new())))
}

fn request() -> Request<()> {
    // Like a value off the wire, it can be cloned without a new reference count.
    let session = HeaderValue::from_static("chat-0123456789");
    let request = Request::get("/").header("x-session-id", session);
    request.body(()).unwrap()
}

#[test]
fn a_request_allocates_only_its_key() {
    let bare = allocations_of(service_fn(answer), request());
    let scoped = allocations_of(by_session_id().layer(service_fn(answer)), request());
    assert_eq!(
        scoped - bare,
        2,
        "expected the bytes of the key and the reference count that makes its clones free"
    );
}

#[test]
fn a_request_whose_key_is_in_its_extensions_allocates_nothing() {
    let with_key = || {
        let mut request = request();
        request.extensions_mut().insert(INNER);
        request
    };
    let bare = allocations_of(service_fn(answer), with_key());
    let scoped = allocations_of(by_session_id().layer(service_fn(answer)), with_key());
    assert_eq!(
        scoped, bare,
        "expected as many allocations as without the layer"
    );
}

#[test]
fn setting_the_key_of_the_scope_allocates_nothing() {
    let layer = SessionAffinityLayer::new().or(FromScope);
    let key: AffinityKey = "made at run time".replace(' ', "-").parse().unwrap();
    let (parts, ()) = Request::new(()).into_parts();
    // Room in advance: growth of the map is not to be counted.
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert("accept", HeaderValue::from_static("*/*"));

    key.sync_scope(|| {
        let counted = measure(|| {
            let outcome = layer.stamp(&parts.method, &parts.uri, &mut headers, &parts.extensions);
            assert_eq!(outcome, Outcome::Stamped);
        });
        assert_eq!(counted.count_total, 0, "expected no allocation");
    });
}

/// Puts a key that shares the header's bytes into the extensions, as a user's layer may.
fn with_a_shared_key(mut request: Request<Incoming>) -> Request<Incoming> {
    let value = request.headers()["x-session-id"].clone();
    request
        .extensions_mut()
        .insert(AffinityKey::try_from(value).unwrap());
    request
}

/// Returns the bytes that each kept key of a scope keeps alive.
fn bytes_kept_by<K>(layer: AffinityScopeLayer<K>, share_first: bool) -> i64
where
    K: KeyExtractor + Clone,
{
    bytes_of_a_kept_key(|kept| {
        let keep = service_fn(move |_: Request<Incoming>| {
            kept.lock().unwrap().extend(AffinityKey::current());
            ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
        });
        let service = ServiceBuilder::new()
            .map_request(move |request| {
                if share_first {
                    with_a_shared_key(request)
                } else {
                    request
                }
            })
            .map_response(|response: Response<_>| response.map(|_| Empty::new()))
            .layer(layer)
            .service(keep);
        TowerToHyperService::new(service)
    })
}

#[test]
fn keys_from_headers_do_not_keep_read_buffers_alive() {
    let bytes = bytes_kept_by(by_session_id(), false);
    assert!(
        bytes < 100,
        "{bytes} bytes per key, expected fewer than 100"
    );
}

#[test]
fn keys_from_extensions_do_not_keep_read_buffers_alive() {
    let bytes = bytes_kept_by(AffinityScopeLayer::new(), true);
    assert!(
        bytes < 100,
        "{bytes} bytes per key, expected fewer than 100"
    );
}

//! What the layer costs in time and in allocations, without valgrind.
//!
//! `cargo bench --bench overhead`. Times depend on the machine and its load, so compare only rows of one
//! run. Allocations do not. The request is returned, so that freeing it is not measured.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll};

use divan::{AllocProfiler, Bencher};
use http::{HeaderName, HeaderValue, Request, Response};
use tower_http::set_header::SetRequestHeaderLayer;
use tower_layer::Layer;
use tower_service::Service;
use tower_session_affinity::{FromHeaders, HostPattern, MergePolicy, SessionAffinityLayer, header};

#[path = "shared/by_hand.rs"]
mod by_hand;
mod shared;
use by_hand::{Session, name, value};
use shared::{key, request};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const USER: HeaderName = HeaderName::from_static("x-user-id");

/// With 6 headers a request's map is full, and grows for one more.
const HEADERS: [usize; 4] = [5, 6, 13, 100];

#[derive(Clone)]
struct HandBack;

impl Service<Request<()>> for HandBack {
    type Response = Response<Request<()>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        ready(Ok(Response::new(request)))
    }
}

fn main() {
    divan::main();
}

fn call<L: Layer<HandBack>>(bencher: Bencher<'_, '_>, layer: L, input: impl Fn() -> Request<()>)
where
    L::Service: Service<Request<()>>,
{
    let mut service = black_box(layer).layer(HandBack);
    bencher
        .with_inputs(input)
        .bench_local_values(|request| service.call(request));
}

fn with_extension<T>(headers: usize, extension: T) -> impl Fn() -> Request<()>
where
    T: Clone + Send + Sync + 'static,
{
    move || {
        let mut request = request(headers);
        request.extensions_mut().insert(extension.clone());
        request
    }
}

fn with_header(headers: usize, name: &HeaderName) -> impl Fn() -> Request<()> {
    move || {
        let mut request = request(headers);
        request
            .headers_mut()
            .insert(name.clone(), HeaderValue::from_static("caller-7"));
        request
    }
}

#[divan::bench(args = HEADERS)]
fn bare(bencher: Bencher<'_, '_>, headers: usize) {
    let mut service = HandBack;
    bencher
        .with_inputs(|| request(headers))
        .bench_local_values(|request| service.call(request));
}

#[divan::bench(args = HEADERS)]
fn fixed(bencher: Bencher<'_, '_>, headers: usize) {
    call(bencher, SessionAffinityLayer::new().or(key()), || {
        request(headers)
    });
}

#[divan::bench(args = HEADERS)]
fn fixed_by_tower_http(bencher: Bencher<'_, '_>, headers: usize) {
    let layer = SetRequestHeaderLayer::if_not_present(name(), value());
    call(bencher, layer, || request(headers));
}

#[divan::bench(args = HEADERS)]
fn extension(bencher: Bencher<'_, '_>, headers: usize) {
    call(
        bencher,
        SessionAffinityLayer::new(),
        with_extension(headers, key()),
    );
}

#[divan::bench(args = HEADERS)]
fn extension_by_tower_http(bencher: Bencher<'_, '_>, headers: usize) {
    let session = |request: &Request<()>| {
        request
            .extensions()
            .get::<Session>()
            .map(|session| session.0.clone())
    };
    let layer = SetRequestHeaderLayer::if_not_present(name(), session);
    call(bencher, layer, with_extension(headers, Session(value())));
}

#[divan::bench(args = HEADERS)]
fn present(bencher: Bencher<'_, '_>, headers: usize) {
    let layer = SessionAffinityLayer::new().or(key());
    call(
        bencher,
        layer,
        with_header(headers, &header::X_SESSION_AFFINITY),
    );
}

#[divan::bench(args = HEADERS)]
fn present_by_tower_http(bencher: Bencher<'_, '_>, headers: usize) {
    let layer = SetRequestHeaderLayer::if_not_present(name(), value());
    call(
        bencher,
        layer,
        with_header(headers, &header::X_SESSION_AFFINITY),
    );
}

#[divan::bench(args = HEADERS)]
fn replace(bencher: Bencher<'_, '_>, headers: usize) {
    let layer = SessionAffinityLayer::new()
        .or(key())
        .merge_policy(MergePolicy::Replace);
    call(bencher, layer, || request(headers));
}

#[divan::bench(args = HEADERS)]
fn replace_by_tower_http(bencher: Bencher<'_, '_>, headers: usize) {
    call(
        bencher,
        SetRequestHeaderLayer::overriding(name(), value()),
        || request(headers),
    );
}

#[divan::bench(args = HEADERS)]
fn from_headers(bencher: Bencher<'_, '_>, headers: usize) {
    let layer = SessionAffinityLayer::new().or(FromHeaders::new([USER]));
    call(bencher, layer, with_header(headers, &USER));
}

#[divan::bench(args = HEADERS)]
fn only_1_host(bencher: Bencher<'_, '_>, headers: usize) {
    let host = HostPattern::from_static("api.example.com");
    let layer = SessionAffinityLayer::new().or(key()).only_hosts([host]);
    call(bencher, layer, || request(headers));
}

#[divan::bench]
fn clone(bencher: Bencher<'_, '_>) {
    let service = SessionAffinityLayer::new().or(key()).layer(HandBack);
    bencher.bench_local(|| service.clone());
}

#[divan::bench]
fn clone_by_tower_http(bencher: Bencher<'_, '_>) {
    let service = SetRequestHeaderLayer::if_not_present(name(), value()).layer(HandBack);
    bencher.bench_local(|| service.clone());
}

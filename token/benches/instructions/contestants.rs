//! The measured services, one function for each.

use std::hint::black_box;

use gungraun::{
    Callgrind, EntryPoint, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group,
};
use http::{HeaderValue, Request, StatusCode};
use tower_affinity_token::{AffinityTokenLayer, header::X_SESSION_TOKEN};
use tower_layer::Layer;
use tower_service::Service;
use tower_session_affinity::SessionAffinityLayer;

use crate::support::{Gateway, NEW, TOKEN, exchange, key, remember, request};

/// The number of exchanges in one count, each of a different session.
pub(crate) const REPEATS: usize = 1000;

/// The only function whose instructions are counted, with everything that it calls.
#[inline(never)]
fn counted_exchanges<S>(service: &mut S, requests: Vec<Request<()>>)
where
    S: Service<Request<()>, Future: Unpin>,
{
    for request in requests {
        exchange(service, request);
    }
}

fn requests() -> Vec<Request<()>> {
    (0..REPEATS)
        .map(|number| request(Some(key(number))))
        .collect()
}

fn requests_without_key() -> Vec<Request<()>> {
    (0..REPEATS).map(|_| request(None)).collect()
}

fn layer() -> AffinityTokenLayer {
    AffinityTokenLayer::new(black_box(X_SESSION_TOKEN))
}

/// A layer that remembers the token of each session and has sent it once.
fn remembering() -> AffinityTokenLayer {
    let layer = layer();
    for number in 0..REPEATS {
        remember(&layer, number);
        exchange(
            &mut layer.layer(Gateway::new(None)),
            request(Some(key(number))),
        );
    }
    layer
}

fn count<L: Layer<Gateway>>(layer: L, token: Option<HeaderValue>, requests: Vec<Request<()>>)
where
    L::Service: Service<Request<()>, Future: Unpin>,
{
    // Hides the settings of the layer from the optimizer.
    counted_exchanges(&mut black_box(layer).layer(Gateway::new(token)), requests);
}

#[library_benchmark]
fn bare() {
    counted_exchanges(&mut Gateway::new(None), requests());
}

#[library_benchmark]
fn bare_without_key() {
    counted_exchanges(&mut Gateway::new(None), requests_without_key());
}

#[library_benchmark]
fn bare_with_token() {
    counted_exchanges(&mut Gateway::new(Some(TOKEN)), requests());
}

#[library_benchmark]
fn plain() {
    let layer = SessionAffinityLayer::new().header_name(black_box(X_SESSION_TOKEN));
    count(layer, None, requests());
}

#[library_benchmark]
fn no_key() {
    count(layer(), None, requests_without_key());
}

#[library_benchmark]
fn nothing_remembered() {
    count(layer(), None, requests());
}

#[library_benchmark]
fn remembered() {
    count(remembering(), None, requests());
}

#[library_benchmark]
fn remembered_after_a_failure() {
    let layer = remembering();
    remember(&layer, REPEATS);
    let mut failing = layer.layer(Gateway::new(None));
    failing.get_mut().status = StatusCode::BAD_GATEWAY;
    exchange(&mut failing, request(Some(key(REPEATS))));
    count(layer, None, requests());
}

#[library_benchmark]
fn repeated() {
    count(remembering(), Some(TOKEN), requests());
}

#[library_benchmark]
fn changed() {
    count(remembering(), Some(NEW), requests());
}

library_benchmark_group!(
    name = exchanges,
    benchmarks = [
        bare,
        bare_with_token,
        bare_without_key,
        plain,
        no_key,
        nothing_remembered,
        remembered,
        remembered_after_a_failure,
        repeated,
        changed
    ]
);

gungraun::main!(
    config = LibraryBenchmarkConfig::default().tool(
        Callgrind::default().entry_point(EntryPoint::Custom("*::counted_*".to_owned()))
    );
    library_benchmark_groups = exchanges
);

/// Runs gungraun, which runs this program again under callgrind.
pub(crate) fn run() {
    main();
}

//! What a request and its response allocate, compared with the layer that only sets a header.
//!
//! `cargo bench -p tower-affinity-token --bench allocations`. The request is made before counting starts. The
//! response of the bare service allocates only if it has a token.

use divan::{AllocProfiler, Bencher};
use http::HeaderValue;
use tower_affinity_token::{AffinityTokenLayer, header::X_SESSION_TOKEN};
use tower_layer::Layer;
use tower_service::Service;
use tower_session_affinity::SessionAffinityLayer;

use support::{Gateway, TOKEN, exchange, key, remember, request};

mod support;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn count<S>(bencher: Bencher<'_, '_>, mut service: S)
where
    S: Service<http::Request<()>, Future: Unpin>,
{
    bencher
        .with_inputs(|| request(Some(key(7))))
        .bench_local_values(|request| exchange(&mut service, request));
}

fn remembering(token: Option<HeaderValue>) -> impl Service<http::Request<()>, Future: Unpin> {
    let layer = AffinityTokenLayer::new(X_SESSION_TOKEN);
    remember(&layer, 7);
    layer.layer(Gateway::new(token))
}

#[divan::bench]
fn bare(bencher: Bencher<'_, '_>) {
    count(bencher, Gateway::new(None));
}

#[divan::bench]
fn bare_with_token(bencher: Bencher<'_, '_>) {
    count(bencher, Gateway::new(Some(TOKEN)));
}

#[divan::bench]
fn plain(bencher: Bencher<'_, '_>) {
    count(
        bencher,
        SessionAffinityLayer::new().layer(Gateway::new(None)),
    );
}

#[divan::bench]
fn remembered(bencher: Bencher<'_, '_>) {
    count(bencher, remembering(None));
}

#[divan::bench]
fn repeated(bencher: Bencher<'_, '_>) {
    count(bencher, remembering(Some(TOKEN)));
}

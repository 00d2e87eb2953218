//! Any request through any layer leaves as the truth table says, by every way in.
#![no_main]

use std::convert::Infallible;

use fuzz::request::{Input, Settings};
use fuzz::table::{judge, values};
use http::{HeaderMap, Request};
use libfuzzer_sys::fuzz_target;
use tokio_test::task;
use tower::{Layer, ServiceExt, service_fn};
use tower_session_affinity::{KeyExtractor, Outcome, SessionAffinityLayer};

fuzz_target!(|case: (Settings, Input)| {
    let (settings, input) = case;
    let (layer, before) = (settings.layer(), input.request());
    let expected = judge(&settings, &input, &before);
    let name = settings.name();

    let others = without(before.headers().clone(), name);
    let (outcome, stamped) = in_scope(&input, || stamp(&layer, &before));
    let left = values(&stamped, name);
    assert_eq!(outcome, expected.outcome);
    assert_eq!(left, Vec::from_iter(expected.left), "{outcome:?}");
    assert_eq!(without(stamped, name), others);

    let served = in_scope(&input, || serve(&layer, before));
    assert_eq!(values(&served, name), left);
    assert_eq!(without(served, name), others);
});

fn in_scope<R>(input: &Input, work: impl FnOnce() -> R) -> R {
    match &input.scope {
        None => work(),
        Some(key) => key.affinity_key().sync_scope(work),
    }
}

fn stamp(
    layer: &SessionAffinityLayer<impl KeyExtractor>,
    request: &Request<()>,
) -> (Outcome, HeaderMap) {
    let mut headers = request.headers().clone();
    let (method, uri) = (request.method(), request.uri());
    let outcome = layer.stamp(method, uri, &mut headers, request.extensions());
    (outcome, headers)
}

fn serve(
    layer: &SessionAffinityLayer<impl KeyExtractor + Clone>,
    request: Request<()>,
) -> HeaderMap {
    let inner = service_fn(async |request: Request<()>| {
        Ok::<_, Infallible>(request.into_parts().0.headers)
    });
    let mut answer = task::spawn(layer.layer(inner).oneshot(request));
    match answer.poll() {
        std::task::Poll::Ready(Ok(headers)) => headers,
        std::task::Poll::Pending => unreachable!("the inner service waits for nothing"),
    }
}

/// What the layer has no business with; the order of values counts within a name.
fn without(mut headers: HeaderMap, name: &str) -> HeaderMap {
    headers.remove(name);
    headers
}

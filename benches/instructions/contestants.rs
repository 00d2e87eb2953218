//! What is counted: each function is one contestant, each id a number of headers.

use std::convert::Infallible;
use std::future::{Pending, pending};
use std::hint::black_box;
use std::mem::forget;
use std::task::{Context, Poll};

use gungraun::{
    Callgrind, EntryPoint, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group,
};
use http::{HeaderName, HeaderValue, Request, Response, header::Entry};
use tower::util::MapRequestLayer;
use tower_http::set_header::SetRequestHeaderLayer;
use tower_layer::Layer;
use tower_service::Service;
use tower_session_affinity::{FromHeaders, HostPattern, MergePolicy, SessionAffinityLayer, header};

use crate::by_hand::{Session, name, value};
use crate::shared::{key, request};

/// The requests, or clones, that one count is the sum of.
pub(crate) const REPEATS: usize = 100;

const NAME: HeaderName = header::X_SESSION_AFFINITY;
const USER: HeaderName = HeaderName::from_static("x-user-id");

/// Takes a request and never gives it back, so that freeing it is not counted.
#[derive(Clone)]
struct Bare;

type Requests = Vec<Request<()>>;

impl Service<Request<()>> for Bare {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Pending<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        forget(black_box(request));
        pending()
    }
}

/// The one function whose instructions count, with what it calls.
#[inline(never)]
fn counted_calls<S: Service<Request<()>>>(service: &mut S, requests: Requests) {
    for request in requests {
        forget(black_box(service.call(request)));
    }
}

#[inline(never)]
fn counted_clones<S: Clone>(service: &S) {
    for _ in 0..REPEATS {
        forget(black_box(black_box(service).clone()));
    }
}

fn requests(headers: usize) -> Requests {
    (0..REPEATS).map(|_| request(headers)).collect()
}

fn with_header(headers: usize, name: &HeaderName) -> Requests {
    let add = |mut request: Request<()>| {
        request
            .headers_mut()
            .insert(name.clone(), HeaderValue::from_static("caller-7"));
        request
    };
    requests(headers).into_iter().map(add).collect()
}

fn with_extension<T: Clone + Send + Sync + 'static>(headers: usize, extension: &T) -> Requests {
    let add = |mut request: Request<()>| {
        request.extensions_mut().insert(extension.clone());
        request
    };
    requests(headers).into_iter().map(add).collect()
}

fn call<L: Layer<Bare>>(layer: L, requests: Requests)
where
    L::Service: Service<Request<()>>,
{
    // The optimizer is not to know how the layer was set.
    let mut service = black_box(layer).layer(Bare);
    counted_calls(&mut service, requests);
}

fn hosts(count: usize) -> Vec<HostPattern> {
    let mut hosts = vec![HostPattern::from_static("*.workers.ai"); count - 1];
    hosts.push(HostPattern::from_static("api.example.com"));
    hosts
}

/// A source that has nothing.
fn miss() -> FromHeaders {
    FromHeaders::new([USER])
}

/// The benchmarks of one contestant: an id for each number of headers.
macro_rules! contestants {
    ($($contestant:ident($headers:ident) $call:block)+) => {
        $(
            #[library_benchmark]
            #[bench::h0(0)]
            #[bench::h5(5)]
            #[bench::h6(6)]
            #[bench::h9(9)]
            #[bench::h13(13)]
            #[bench::h20(20)]
            #[bench::h100(100)]
            fn $contestant($headers: usize) $call
        )+

        library_benchmark_group!(name = stamps, benchmarks = [$($contestant),+]);
    };
}

contestants! {
    bare(headers) {
        counted_calls(&mut Bare, requests(headers));
    }
    fixed(headers) {
        call(SessionAffinityLayer::new().or(key()), requests(headers));
    }
    fixed_by_tower_http(headers) {
        call(SetRequestHeaderLayer::if_not_present(name(), value()), requests(headers));
    }
    other_name(headers) {
        let name = black_box(header::X_SESSION_ID);
        let layer = SessionAffinityLayer::new().or(key()).header_name(name);
        call(layer, requests(headers));
    }
    other_name_by_tower_http(headers) {
        let name = black_box(header::X_SESSION_ID);
        call(SetRequestHeaderLayer::if_not_present(name, value()), requests(headers));
    }
    extension(headers) {
        call(SessionAffinityLayer::new(), with_extension(headers, &key()));
    }
    extension_by_tower_http(headers) {
        let session = |request: &Request<()>| {
            request.extensions().get::<Session>().map(|session| session.0.clone())
        };
        let layer = SetRequestHeaderLayer::if_not_present(name(), session);
        call(layer, with_extension(headers, &Session(value())));
    }
    present(headers) {
        call(SessionAffinityLayer::new().or(key()), with_header(headers, &NAME));
    }
    present_by_tower_http(headers) {
        let layer = SetRequestHeaderLayer::if_not_present(name(), value());
        call(layer, with_header(headers, &NAME));
    }
    replace(headers) {
        let layer = SessionAffinityLayer::new().or(key()).merge_policy(MergePolicy::Replace);
        call(layer, requests(headers));
    }
    replace_by_tower_http(headers) {
        call(SetRequestHeaderLayer::overriding(name(), value()), requests(headers));
    }
    replace_by_hand(headers) {
        let (name, value) = (name(), value());
        let insert = move |mut request: Request<()>| {
            request.headers_mut().insert(name.clone(), value.clone());
            request
        };
        call(MapRequestLayer::new(insert), requests(headers));
    }
    // The compiler computes the hash where this is the only call with a constant name.
    replace_by_hand_const(headers) {
        let value = value();
        let insert = move |mut request: Request<()>| {
            request.headers_mut().insert(NAME, value.clone());
            request
        };
        call(MapRequestLayer::new(insert), requests(headers));
    }
    entry_by_hand(headers) {
        let value = value();
        let insert = move |mut request: Request<()>| {
            if let Ok(Entry::Vacant(entry)) = request.headers_mut().try_entry(NAME) {
                let _ = entry.try_insert(value.clone());
            }
            request
        };
        call(MapRequestLayer::new(insert), requests(headers));
    }
    replace_present(headers) {
        let layer = SessionAffinityLayer::new().or(key()).merge_policy(MergePolicy::Replace);
        call(layer, with_header(headers, &NAME));
    }
    replace_present_by_tower_http(headers) {
        let layer = SetRequestHeaderLayer::overriding(name(), value());
        call(layer, with_header(headers, &NAME));
    }
    closure(headers) {
        let layer = SessionAffinityLayer::new()
            .or_fn(|req| req.headers().get(&USER)?.try_into().ok());
        call(layer, with_header(headers, &USER));
    }
    closure_by_tower_http(headers) {
        let user = |request: &Request<()>| request.headers().get(&USER).cloned();
        call(SetRequestHeaderLayer::if_not_present(name(), user), with_header(headers, &USER));
    }
    from_headers(headers) {
        let layer = SessionAffinityLayer::new().or(FromHeaders::new([USER]));
        call(layer, with_header(headers, &USER));
    }
    no_key(headers) {
        call(SessionAffinityLayer::new(), requests(headers));
    }
    no_key_by_tower_http(headers) {
        let none = |_: &Request<()>| black_box(None::<HeaderValue>);
        call(SetRequestHeaderLayer::if_not_present(name(), none), requests(headers));
    }
    only_1_host(headers) {
        call(SessionAffinityLayer::new().or(key()).only_hosts(hosts(1)), requests(headers));
    }
    only_8_hosts(headers) {
        call(SessionAffinityLayer::new().or(key()).only_hosts(hosts(8)), requests(headers));
    }
    fallbacks_2(headers) {
        call(SessionAffinityLayer::new().or(miss()).or(key()), requests(headers));
    }
    fallbacks_4(headers) {
        let layer = SessionAffinityLayer::new().or(miss()).or(miss()).or(miss());
        call(layer.or(key()), requests(headers));
    }
    fallbacks_8(headers) {
        let layer = SessionAffinityLayer::new().or(miss()).or(miss()).or(miss());
        let layer = layer.or(miss()).or(miss()).or(miss()).or(miss());
        call(layer.or(key()), requests(headers));
    }
}

#[library_benchmark]
#[bench::bare(Bare)]
#[bench::ours(SessionAffinityLayer::new().or(key()).layer(Bare))]
#[bench::tower_http(SetRequestHeaderLayer::if_not_present(name(), value()).layer(Bare))]
fn clones<S: Clone>(service: S) {
    counted_clones(&service);
}

library_benchmark_group!(name = copies, benchmarks = clones);

gungraun::main!(
    config = LibraryBenchmarkConfig::default().tool(
        Callgrind::default().entry_point(EntryPoint::Custom("*::counted_*".to_owned()))
    );
    library_benchmark_groups = stamps, copies
);

/// Hands over to gungraun, which runs this program again under callgrind.
pub(crate) fn run() {
    main();
}

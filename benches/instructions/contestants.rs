//! What is counted. Each function is one contestant, and each id is a set of headers.

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
use tower_session_affinity::{
    Destination, Destinations, FromHeaders, HostPattern, MergePolicy, SessionAffinityLayer, header,
};

use crate::by_hand::{Session, name, value};
use crate::sets::{Place, Set};
use crate::shared::key;

/// How many requests or clones are added up in one count.
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

/// Only the instructions of this function are counted, including what it calls.
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

fn repeat(make: impl Fn() -> Request<()>) -> Requests {
    (0..REPEATS).map(|_| make()).collect()
}

fn requests(set: Set) -> Requests {
    repeat(|| set.request())
}

fn with_header(set: Set, place: Place, name: &HeaderName) -> Requests {
    repeat(|| set.with(name, place))
}

/// Requests that name the user in their last header before ours.
fn with_user(set: Set) -> Requests {
    with_header(set, Place::Last, &USER)
}

/// Requests that carry our header with these values.
fn with_values(set: Set, values: &[&'static str]) -> Requests {
    repeat(|| {
        let mut request = set.request();
        for value in values {
            request
                .headers_mut()
                .append(NAME, HeaderValue::from_static(value));
        }
        request
    })
}

fn with_extension<T: Clone + Send + Sync + 'static>(set: Set, extension: &T) -> Requests {
    repeat(|| {
        let mut request = set.request();
        request.extensions_mut().insert(extension.clone());
        request
    })
}

fn call<L: Layer<Bare>>(layer: L, requests: Requests)
where
    L::Service: Service<Request<()>>,
{
    // Hides the settings of the layer from the optimizer.
    let mut service = black_box(layer).layer(Bare);
    counted_calls(&mut service, requests);
}

fn hosts(count: usize) -> Vec<HostPattern> {
    let mut hosts = vec![HostPattern::from_static("*.workers.ai"); count - 1];
    hosts.push(HostPattern::from_static("api.example.com"));
    hosts
}

/// A source that finds no key.
fn miss() -> FromHeaders {
    FromHeaders::new([USER])
}

/// The known rows, with one for the host of the requests in the middle.
fn known() -> Destinations {
    let rows = Destinations::known();
    let middle = rows.iter().count() / 2;
    let host = Destination::from_static("api.example.com", "x-session-affinity");
    let rows = rows.into_iter().enumerate();
    rows.flat_map(|(index, row)| {
        (index == middle)
            .then(|| host.clone())
            .into_iter()
            .chain([row])
    })
    .collect()
}

/// Makes a group of contestants. Each has an id for each set of headers.
macro_rules! contestants {
    ($group:ident $sets:tt $($contestant:ident($set:ident) $call:block)+) => {
        $(contestant!($sets $contestant($set) $call);)+

        library_benchmark_group!(name = $group, benchmarks = [$($contestant),+]);
    };
}

macro_rules! contestant {
    ([$($id:ident($value:expr)),+] $contestant:ident($set:ident) $call:block) => {
        #[library_benchmark]
        $(#[bench::$id($value)])+
        fn $contestant($set: Set) $call
    };
}

// With all sizes, for the table of growth.
contestants! {
    sized [h5(Set::Plain(5)), h13(Set::Plain(13)), client(Set::Client), full_client(Set::FullClient), proxy(Set::Proxy), browser(Set::Browser), h0(Set::Plain(0)), h6(Set::Plain(6)), h9(Set::Plain(9)), h20(Set::Plain(20)), h100(Set::Plain(100)), crumbs(Set::Crumbs)]

    bare(set) {
        counted_calls(&mut Bare, requests(set));
    }
    fixed(set) {
        call(SessionAffinityLayer::new().or(key()), requests(set));
    }
    fixed_by_tower_http(set) {
        call(SetRequestHeaderLayer::if_not_present(name(), value()), requests(set));
    }
    extension(set) {
        call(SessionAffinityLayer::new(), with_extension(set, &key()));
    }
    extension_by_tower_http(set) {
        let session = |request: &Request<()>| {
            request.extensions().get::<Session>().map(|session| session.0.clone())
        };
        let layer = SetRequestHeaderLayer::if_not_present(name(), session);
        call(layer, with_extension(set, &Session(value())));
    }
    present_middle(set) {
        call(SessionAffinityLayer::new().or(key()), with_header(set, Place::Middle, &NAME));
    }
    present_middle_by_tower_http(set) {
        let layer = SetRequestHeaderLayer::if_not_present(name(), value());
        call(layer, with_header(set, Place::Middle, &NAME));
    }
    replace(set) {
        let layer = SessionAffinityLayer::new().or(key()).merge_policy(MergePolicy::Replace);
        call(layer, requests(set));
    }
    replace_by_tower_http(set) {
        call(SetRequestHeaderLayer::overriding(name(), value()), requests(set));
    }
    closure(set) {
        call(SessionAffinityLayer::new().or_fn(|req| req.key(&USER)), with_user(set));
    }
    closure_by_tower_http(set) {
        let user = |request: &Request<()>| request.headers().get(&USER).cloned();
        call(SetRequestHeaderLayer::if_not_present(name(), user), with_user(set));
    }
    no_key(set) {
        call(SessionAffinityLayer::new(), requests(set));
    }
    no_key_by_tower_http(set) {
        let none = |_: &Request<()>| black_box(None::<HeaderValue>);
        call(SetRequestHeaderLayer::if_not_present(name(), none), requests(set));
    }
}

// What real clients send, and two made-up sizes.
contestants! {
    stamps [h5(Set::Plain(5)), h13(Set::Plain(13)), client(Set::Client), full_client(Set::FullClient), proxy(Set::Proxy), browser(Set::Browser)]

    // What most people would write.
    fixed_by_hand(set) {
        let value = value();
        let insert = move |mut request: Request<()>| {
            if !request.headers().contains_key(NAME) {
                request.headers_mut().insert(NAME, value.clone());
            }
            request
        };
        call(MapRequestLayer::new(insert), requests(set));
    }
    other_name(set) {
        let name = black_box(header::X_SESSION_ID);
        let layer = SessionAffinityLayer::new().or(key()).header_name(name);
        call(layer, requests(set));
    }
    other_name_by_tower_http(set) {
        let name = black_box(header::X_SESSION_ID);
        call(SetRequestHeaderLayer::if_not_present(name, value()), requests(set));
    }
    present_first(set) {
        call(SessionAffinityLayer::new().or(key()), with_header(set, Place::First, &NAME));
    }
    present_first_by_tower_http(set) {
        let layer = SetRequestHeaderLayer::if_not_present(name(), value());
        call(layer, with_header(set, Place::First, &NAME));
    }
    present_last(set) {
        call(SessionAffinityLayer::new().or(key()), with_header(set, Place::Last, &NAME));
    }
    present_last_by_tower_http(set) {
        let layer = SetRequestHeaderLayer::if_not_present(name(), value());
        call(layer, with_header(set, Place::Last, &NAME));
    }
    blank(set) {
        call(SessionAffinityLayer::new().or(key()), with_values(set, &[" "]));
    }
    blank_by_tower_http(set) {
        let layer = SetRequestHeaderLayer::if_not_present(name(), value());
        call(layer, with_values(set, &[" "]));
    }
    repeated(set) {
        call(SessionAffinityLayer::new().or(key()), with_values(set, &["a", "b"]));
    }
    repeated_by_tower_http(set) {
        let layer = SetRequestHeaderLayer::if_not_present(name(), value());
        call(layer, with_values(set, &["a", "b"]));
    }
    replace_by_hand(set) {
        let (name, value) = (name(), value());
        let insert = move |mut request: Request<()>| {
            request.headers_mut().insert(name.clone(), value.clone());
            request
        };
        call(MapRequestLayer::new(insert), requests(set));
    }
    // The compiler can compute the hash if it inlines the insertion.
    replace_by_hand_const(set) {
        let value = value();
        let insert = move |mut request: Request<()>| {
            request.headers_mut().insert(NAME, value.clone());
            request
        };
        call(MapRequestLayer::new(insert), requests(set));
    }
    entry_by_hand(set) {
        let value = value();
        call(MapRequestLayer::new(move |request| enter(request, &NAME, &value)), requests(set));
    }
    replace_present(set) {
        let layer = SessionAffinityLayer::new().or(key()).merge_policy(MergePolicy::Replace);
        call(layer, with_header(set, Place::Middle, &NAME));
    }
    replace_present_by_tower_http(set) {
        let layer = SetRequestHeaderLayer::overriding(name(), value());
        call(layer, with_header(set, Place::Middle, &NAME));
    }
    from_headers(set) {
        call(SessionAffinityLayer::new().or(FromHeaders::new([USER])), with_user(set));
    }
    adopt(set) {
        call(SessionAffinityLayer::new().adopt([USER]), with_user(set));
    }
}

// What a setting adds.
contestants! {
    settings [h5(Set::Plain(5))]

    only_1_host(set) {
        call(SessionAffinityLayer::new().or(key()).only_hosts(hosts(1)), requests(set));
    }
    only_8_hosts(set) {
        call(SessionAffinityLayer::new().or(key()).only_hosts(hosts(8)), requests(set));
    }
    known_destinations(set) {
        call(SessionAffinityLayer::new().or(key()).destinations(known()), requests(set));
    }
    fallbacks_2(set) {
        call(SessionAffinityLayer::new().or(miss()).or(key()), requests(set));
    }
    fallbacks_4(set) {
        let layer = SessionAffinityLayer::new().or(miss()).or(miss()).or(miss());
        call(layer.or(key()), requests(set));
    }
    fallbacks_8(set) {
        let layer = SessionAffinityLayer::new().or(miss()).or(miss()).or(miss());
        let layer = layer.or(miss()).or(miss()).or(miss()).or(miss());
        call(layer.or(key()), requests(set));
    }
    // A second caller of `try_entry`, as in any larger program, so that it is not inlined into the first.
    entry_of_user_by_hand(set) {
        let value = value();
        call(MapRequestLayer::new(move |request| enter(request, &USER, &value)), requests(set));
    }
}

fn enter(mut request: Request<()>, name: &HeaderName, value: &HeaderValue) -> Request<()> {
    if let Ok(Entry::Vacant(entry)) = request.headers_mut().try_entry(name) {
        let _ = entry.try_insert(value.clone());
    }
    request
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
    library_benchmark_groups = sized, stamps, settings, copies
);

/// Starts gungraun, which runs this program again under callgrind.
pub(crate) fn run() {
    main();
}

//! The event for each request: what it contains, and what it must never contain.
#![cfg(feature = "tracing")]

use std::convert::Infallible;
use std::future::ready;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tower::{Layer, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, Destination, FromHeaders, HostPattern, KeyExtractor, MergePolicy, NoAffinity,
    Outcome, SessionAffinityLayer, header,
};
use tracing_subscriber::filter::LevelFilter;

use log::logged;

#[path = "support/log.rs"]
mod log;

const OURS: AffinityKey = AffinityKey::from_static("ours-5f0e9c1a");
const THEIRS: HeaderValue = HeaderValue::from_static("theirs-5f0e9c1a");
/// Part of both values, which no event may contain.
const SECRET: &str = "5f0e9c1a";

fn stamp<K: KeyExtractor>(layer: &SessionAffinityLayer<K>, request: Request<()>) -> Outcome {
    let (mut parts, ()) = request.into_parts();
    let headers = &mut parts.headers;
    layer.stamp(&parts.method, &parts.uri, headers, &parts.extensions)
}

fn request() -> Request<()> {
    Request::get("http://api.example/").body(()).unwrap()
}

fn with_theirs() -> Request<()> {
    let mut request = request();
    request.headers_mut().insert("x-session-affinity", THEIRS);
    request
}

fn with_a_full_map() -> Request<()> {
    let mut request = request();
    let names = (0..).map(|n| HeaderName::try_from(format!("x-{n}")).unwrap());
    for name in names {
        let value = HeaderValue::from_static("full");
        if request.headers_mut().try_insert(name, value).is_err() {
            break;
        }
    }
    request
}

#[test]
fn each_outcome_logs_one_line_at_its_level_without_the_key() {
    let keep = SessionAffinityLayer::new().or(OURS);
    let replace = keep.clone().merge_policy(MergePolicy::Replace);
    let listed = keep
        .clone()
        .only_hosts([HostPattern::from_static("other.example")]);
    let empty = SessionAffinityLayer::new();
    let mut suppressed = with_theirs();
    suppressed.extensions_mut().insert(NoAffinity);
    let mut relative = with_theirs();
    *relative.uri_mut() = "/".parse().unwrap();

    let trace = "TRACE tower_session_affinity: session affinity";
    let authority = " WARN tower_session_affinity: no session affinity: a setting needs the host, \
                     but the URI has no authority";
    let full = " WARN tower_session_affinity: no session affinity: the header map has no room for \
                another name";
    let log = logged(LevelFilter::TRACE, || {
        assert_eq!(stamp(&keep, request()), Outcome::Stamped);
        assert_eq!(stamp(&keep, with_theirs()), Outcome::Kept);
        assert_eq!(stamp(&replace, with_theirs()), Outcome::Replaced);
        assert_eq!(stamp(&empty, request()), Outcome::NoKey);
        assert_eq!(stamp(&keep, suppressed), Outcome::Suppressed);
        assert_eq!(stamp(&listed, with_theirs()), Outcome::HostNotAllowed);
        assert_eq!(stamp(&listed, relative), Outcome::NoAuthority);
        assert_eq!(stamp(&keep, with_a_full_map()), Outcome::MapFull);
    });
    let expected = [
        (trace, "stamped"),
        (trace, "kept"),
        (trace, "replaced"),
        (trace, "no_key"),
        (trace, "suppressed"),
        (trace, "host_not_allowed"),
        (authority, "no_authority"),
        (full, "map_full"),
    ]
    .map(|(event, outcome)| {
        let left_out = if event == trace { "" } else { " left_out=0" };
        format!("{event} outcome=\"{outcome}\" header_name=\"x-session-affinity\"{left_out}\n")
    });
    assert!(!log.contains(SECRET));
    assert_eq!(log, expected.concat());
}

#[test]
fn a_service_logs_one_event_per_request_with_its_header_name() {
    let layer = SessionAffinityLayer::new()
        .or(OURS)
        .header_name(header::X_AFFINITY);
    let client = layer.layer(service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(()))));
    let log = logged(LevelFilter::TRACE, || {
        tokio_test::block_on(client.oneshot(request())).unwrap();
    });
    assert_eq!(
        log,
        "TRACE tower_session_affinity: session affinity outcome=\"stamped\" \
         header_name=\"x-affinity\"\n",
    );
}

#[test]
fn a_disabled_event_allocates_nothing_and_logs_nothing() {
    let layer = SessionAffinityLayer::new().or(OURS);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert("accept", HeaderValue::from_static("*/*"));
    let (parts, ()) = request().into_parts();

    let log = logged(LevelFilter::DEBUG, || {
        let counted = allocation_counter::measure(|| {
            layer.stamp(&parts.method, &parts.uri, &mut headers, &parts.extensions);
        });
        assert_eq!(counted.count_total, 0, "expected no allocation");
    });
    assert_eq!(log, "");
    assert_eq!(headers["x-session-affinity"], OURS.as_str());
}

#[test]
fn a_missing_key_logs_a_warning_with_the_reason() {
    let row = Destination::from_static("api.example", "x-session-id").max_len(4);
    let too_long = SessionAffinityLayer::new()
        .or(OURS)
        .destinations(row.unwrap().into());
    let invalid = SessionAffinityLayer::new().or(FromHeaders::new([header::X_AFFINITY]));
    let expected = SessionAffinityLayer::new().expect_key();
    let mut with_an_invalid_one = request();
    let value = HeaderValue::from_static("not, a key");
    with_an_invalid_one
        .headers_mut()
        .insert(header::X_AFFINITY, value);

    let log = logged(LevelFilter::WARN, || {
        assert_eq!(stamp(&too_long, request()), Outcome::TooLong);
        assert_eq!(stamp(&invalid, with_an_invalid_one), Outcome::InvalidKey);
        assert_eq!(stamp(&expected, request()), Outcome::NoKey);
    });
    let reasons = [
        (
            "the key is longer than the destination takes",
            "too_long\" header_name=\"x-session-id",
        ),
        (
            "no source had a valid key, and at least one had an invalid one",
            "invalid_key\" header_name=\"x-session-affinity",
        ),
        (
            "a key was expected, but no source had one",
            "no_key\" header_name=\"x-session-affinity",
        ),
    ];
    let lines = reasons.map(|(reason, fields)| {
        format!(
            " WARN tower_session_affinity: no session affinity: {reason} outcome=\"{fields}\" left_out=0\n"
        )
    });
    assert_eq!(log, lines.concat());
}

/// Counts the warnings in a log, and adds up how many they say were left out.
fn warnings(log: &str) -> (u64, u64) {
    let left_out = log.lines().map(|line| {
        let (_, number) = line.rsplit_once("left_out=").expect("a warning");
        number.parse::<u64>().expect("a number")
    });
    (log.lines().count() as u64, left_out.sum())
}

#[test]
fn each_kind_of_warning_is_emitted_at_most_once_per_second_and_the_rest_are_counted() {
    const REQUESTS: u64 = 5_000;
    let begun = Instant::now();
    let client = SessionAffinityLayer::new()
        .or(OURS)
        .only_hosts([HostPattern::from_static("api.example")])
        .layer(service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(()))));
    let log = logged(LevelFilter::WARN, || {
        for _ in 0..REQUESTS {
            let relative = Request::get("/").body(()).unwrap();
            tokio_test::block_on(client.clone().oneshot(relative)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1_100));
        let relative = Request::get("/").body(()).unwrap();
        tokio_test::block_on(client.oneshot(relative)).unwrap();
    });
    let (emitted, left_out) = warnings(&log);
    assert_eq!(emitted + left_out, REQUESTS + 1);
    assert!(
        emitted >= 2,
        "expected a warning before the pause and one after it:\n{log}"
    );
    assert!(
        emitted <= begun.elapsed().as_secs() + 2,
        "expected at most one warning per second, found {emitted}"
    );
}

#[test]
fn each_layer_and_each_kind_of_warning_has_its_own_limit() {
    let layer = || {
        SessionAffinityLayer::new()
            .or(OURS)
            .only_hosts([HostPattern::from_static("api.example")])
    };
    let first = layer();
    let log = logged(LevelFilter::WARN, || {
        stamp(&first, Request::get("/").body(()).unwrap());
        stamp(&first, with_a_full_map());
        stamp(&layer(), Request::get("/").body(()).unwrap());
    });
    assert_eq!(warnings(&log), (3, 0));
}

#[cfg(feature = "reqwest-middleware")]
#[test]
fn the_reqwest_adapters_log_one_event_per_request() {
    use reqwest_middleware::reqwest::{Client, Request, Response};
    use reqwest_middleware::{ClientBuilder, Middleware, Next, Result};

    struct Answer;

    #[async_trait::async_trait]
    impl Middleware for Answer {
        async fn handle(
            &self,
            _: Request,
            _: &mut http::Extensions,
            _: Next<'_>,
        ) -> Result<Response> {
            Ok(http::Response::new("").into())
        }
    }

    let layer = SessionAffinityLayer::new().or(OURS);
    let inner = ClientBuilder::new(Client::new()).with(Answer).build();
    let request = inner.get("http://api.example/").build().unwrap();
    let service = layer.layer(inner);
    let middleware = ClientBuilder::new(Client::new())
        .with(layer)
        .with(Answer)
        .build();
    let log = logged(LevelFilter::TRACE, || {
        tokio_test::block_on(service.oneshot(request)).unwrap();
        tokio_test::block_on(middleware.get("http://api.example/").send()).unwrap();
    });
    let line = "TRACE tower_session_affinity: session affinity outcome=\"stamped\" \
                header_name=\"x-session-affinity\"\n";
    assert_eq!(log, line.repeat(2));
}

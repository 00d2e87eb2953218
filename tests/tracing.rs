//! The event of a stamp: what it says, and what it must never say.
#![cfg(feature = "tracing")]

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tower::{Layer, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, Destination, FromHeaders, HostPattern, KeyExtractor, MergePolicy, NoAffinity,
    Outcome, SessionAffinityLayer, header,
};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

const OURS: AffinityKey = AffinityKey::from_static("ours-5f0e9c1a");
const THEIRS: HeaderValue = HeaderValue::from_static("theirs-5f0e9c1a");
/// What both have in common, and no event.
const SECRET: &str = "5f0e9c1a";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Returns what is logged from this level on, in the calling thread, while a closure runs.
    fn of(level: LevelFilter, f: impl FnOnce()) -> String {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .without_time()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let guard = subscriber.set_default();
        f();
        drop(guard);
        String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

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
fn each_outcome_is_one_line_with_its_level_and_never_the_key() {
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
    let log = Log::of(LevelFilter::TRACE, || {
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
fn a_service_logs_one_event_a_request_with_the_name_of_its_header() {
    let layer = SessionAffinityLayer::new()
        .or(OURS)
        .header_name(header::X_AFFINITY);
    let client = layer.layer(service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(()))));
    let log = Log::of(LevelFilter::TRACE, || {
        tokio_test::block_on(client.oneshot(request())).unwrap();
    });
    assert_eq!(
        log,
        "TRACE tower_session_affinity: session affinity outcome=\"stamped\" \
         header_name=\"x-affinity\"\n",
    );
}

#[test]
fn above_its_level_an_event_costs_no_allocation_and_says_nothing() {
    let layer = SessionAffinityLayer::new().or(OURS);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert("accept", HeaderValue::from_static("*/*"));
    let (parts, ()) = request().into_parts();

    let log = Log::of(LevelFilter::DEBUG, || {
        let counted = allocation_counter::measure(|| {
            layer.stamp(&parts.method, &parts.uri, &mut headers, &parts.extensions);
        });
        assert_eq!(counted.count_total, 0);
    });
    assert_eq!(log, "");
    assert_eq!(headers["x-session-affinity"], OURS.as_str());
}

#[test]
fn a_lost_key_is_a_warning_that_says_why() {
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

    let log = Log::of(LevelFilter::WARN, || {
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

/// Adds up the warnings of a log: those that were emitted, and those that these say were left out.
fn warnings(log: &str) -> (u64, u64) {
    let left_out = log.lines().map(|line| {
        let (_, number) = line.rsplit_once("left_out=").expect("a warning");
        number.parse::<u64>().expect("a number")
    });
    (log.lines().count() as u64, left_out.sum())
}

#[test]
fn of_each_kind_at_most_one_warning_a_second_is_emitted_and_the_others_are_counted() {
    const REQUESTS: u64 = 5_000;
    let begun = Instant::now();
    let client = SessionAffinityLayer::new()
        .or(OURS)
        .only_hosts([HostPattern::from_static("api.example")])
        .layer(service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(()))));
    let log = Log::of(LevelFilter::WARN, || {
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
    assert!(emitted >= 2, "nothing after the pause:\n{log}");
    assert!(
        emitted <= begun.elapsed().as_secs() + 2,
        "{emitted} warnings"
    );
}

#[test]
fn one_kind_of_warning_does_not_hide_another_nor_that_of_another_layer() {
    let layer = || {
        SessionAffinityLayer::new()
            .or(OURS)
            .only_hosts([HostPattern::from_static("api.example")])
    };
    let first = layer();
    let log = Log::of(LevelFilter::WARN, || {
        stamp(&first, Request::get("/").body(()).unwrap());
        stamp(&first, with_a_full_map());
        stamp(&layer(), Request::get("/").body(()).unwrap());
    });
    assert_eq!(warnings(&log), (3, 0));
}

#[cfg(feature = "reqwest-middleware")]
#[test]
fn the_adapters_of_reqwest_log_one_event_a_request_too() {
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
    let log = Log::of(LevelFilter::TRACE, || {
        tokio_test::block_on(service.oneshot(request)).unwrap();
        tokio_test::block_on(middleware.get("http://api.example/").send()).unwrap();
    });
    let line = "TRACE tower_session_affinity: session affinity outcome=\"stamped\" \
                header_name=\"x-session-affinity\"\n";
    assert_eq!(log, line.repeat(2));
}

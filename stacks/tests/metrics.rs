//! What `docs/observability.md` shows: counted outcomes, the cached share, and tests that an application
//! writes for itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use async_openai::types::chat::CompletionUsage;
use http::{HeaderMap, Request};
use metrics::with_local_recorder;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use tokio::runtime::Builder;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{AffinityKey, Destinations, FromScope, Outcome, SessionAffinityLayer};

#[expect(
    dead_code,
    reason = "its `main` installs a recorder for the whole process"
)]
#[path = "../examples/metrics/main.rs"]
mod example;

use example::{
    Layer, begin_at_zero, converse, counted_by_opentelemetry, counted_by_prometheus, prometheus,
    provider, record, tokens_of_headers, tokens_of_usage,
};

/// A provider that reports the cached tokens in headers.
const FIREWORKS: &str = "https://api.fireworks.ai/inference/v1/chat/completions";

/// A provider that reports them in the body.
const OPENROUTER: &str = "https://openrouter.ai/api/v1/chat/completions";

/// The outcomes of a conversation, and the count of each.
const EXPECTED: [(&str, &str, u64); 3] = [
    ("stamped", "true", 3),
    ("suppressed", "false", 1),
    ("no_key", "false", 1),
];

fn run_conversation(layer: Layer, url: &'static str) {
    let client = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(provider));
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(converse(client, url)).unwrap();
}

/// Returns the metrics page after a closure has counted.
fn page_of(counting: impl FnOnce()) -> String {
    let recorder = prometheus().unwrap().build_recorder();
    with_local_recorder(&recorder, counting);
    recorder.handle().render()
}

/// Asserts that the metrics page has this line.
#[track_caller]
fn assert_has_line(page: &str, line: &str) {
    let found = page.lines().any(|found| found == line);
    assert!(found, "the page does not have the line {line}:\n{page}");
}

fn page_of_a_conversation_at(url: &'static str) -> String {
    page_of(|| {
        let layer = counted_by_prometheus("/chat", Destinations::known());
        run_conversation(layer, url);
    })
}

fn page_of_a_conversation() -> String {
    page_of_a_conversation_at(FIREWORKS)
}

#[test]
fn prometheus_counts_each_outcome_by_route_host_and_header() {
    let page = page_of_a_conversation();
    for (outcome, sent, count) in EXPECTED {
        let line = format!(
            "session_affinity_requests_total{{route=\"/chat\",host=\"api.fireworks.ai\",\
             header=\"x-session-affinity\",outcome=\"{outcome}\",sent=\"{sent}\"}} {count}"
        );
        assert_has_line(&page, &line);
    }
    let counters = page.matches("session_affinity_requests_total{").count();
    assert_eq!(counters, EXPECTED.len(), "counters on the page:\n{page}");
}

#[test]
fn opentelemetry_counts_each_outcome_by_route_host_and_header() {
    let exporter = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter.clone())
        .build();
    let meter = meters.meter("test");
    let layer = counted_by_opentelemetry("/chat", Destinations::known(), &meter);
    run_conversation(layer, FIREWORKS);
    meters.force_flush().unwrap();

    let flushed = exporter.get_finished_metrics().unwrap();
    let metrics = flushed.iter().flat_map(ResourceMetrics::scope_metrics);
    let metrics: Vec<_> = metrics.flat_map(ScopeMetrics::metrics).collect();
    let [requests] = metrics[..] else {
        panic!("expected one metric, found {}", metrics.len())
    };
    assert_eq!(requests.name(), "session_affinity.requests");
    let AggregatedMetrics::U64(MetricData::Sum(sum)) = requests.data() else {
        panic!("expected a sum, found {:?}", requests.data())
    };
    let found: BTreeMap<_, _> = sum
        .data_points()
        .map(|point| {
            let labels = point.attributes();
            let labels: BTreeMap<_, _> = labels
                .map(|label| (label.key.to_string(), label.value.to_string()))
                .collect();
            assert_eq!(labels["route"], "/chat");
            assert_eq!(labels["host"], "api.fireworks.ai");
            assert_eq!(labels["header"], "x-session-affinity");
            (
                (labels["outcome"].clone(), labels["sent"].clone()),
                point.value(),
            )
        })
        .collect();
    let expected = EXPECTED.map(|(outcome, sent, count)| ((outcome.into(), sent.into()), count));
    assert_eq!(found, BTreeMap::from(expected));
    meters.shutdown().unwrap();
}

#[test]
fn hosts_that_are_not_listed_share_one_series() {
    let page = page_of(|| {
        let layer = counted_by_prometheus("/fetch", Destinations::known());
        for number in 0..100 {
            let uri = format!("https://host-{number}.example/").parse().unwrap();
            let (parts, ()) = Request::new(()).into_parts();
            layer.stamp(
                &parts.method,
                &uri,
                &mut HeaderMap::new(),
                &parts.extensions,
            );
        }
    });
    let line = "session_affinity_requests_total{route=\"/fetch\",host=\"other\",header=\"none\",\
                outcome=\"host_not_allowed\",sent=\"false\"} 100";
    assert_has_line(&page, line);
    assert_eq!(page.matches("session_affinity_requests_total{").count(), 1);
}

#[test]
fn a_counter_of_every_outcome_can_begin_at_zero() {
    let page = page_of(|| begin_at_zero("/chat", "api.fireworks.ai", "x-session-affinity"));
    for outcome in Outcome::ALL {
        let label = format!("outcome=\"{}\"", outcome.as_str());
        let line = page.lines().find(|line| line.contains(&label));
        let at_zero = line.is_some_and(|line| line.ends_with("} 0"));
        assert!(at_zero, "{label} does not begin at zero:\n{page}");
    }
}

#[test]
fn the_panel_of_the_dashboard_asks_for_what_is_counted() {
    let panel = include_str!("../examples/metrics/panel.json");
    let panel: serde_json::Value = serde_json::from_str(panel).unwrap();
    let query = panel["targets"][0]["expr"].as_str().unwrap();
    let page = page_of_a_conversation();
    assert_eq!(query.matches("session_affinity_requests_total").count(), 2);
    assert!(page.contains("session_affinity_requests_total{route="));
    for (asked, counted) in [
        ("{sent=\"true\"}", "sent=\"true\""),
        ("{outcome!=\"suppressed\"}", "outcome=\"suppressed\""),
    ] {
        assert!(query.contains(asked), "the panel does not ask for {asked}");
        assert!(page.contains(counted), "the page does not have {counted}");
    }
}

#[test]
fn the_cached_share_is_recorded_by_turn_from_headers_or_from_the_body() {
    for page in [FIREWORKS, OPENROUTER].map(page_of_a_conversation_at) {
        for turn in 1..=3 {
            let labels = format!("route=\"/chat\",turn=\"{turn}\",with_key=\"true\"");
            for line in [
                format!("prompt_cached_ratio_bucket{{{labels},le=\"0.75\"}} 0"),
                format!("prompt_cached_ratio_bucket{{{labels},le=\"0.9\"}} 1"),
                format!("prompt_cached_ratio_sum{{{labels}}} 0.8"),
            ] {
                assert_has_line(&page, &line);
            }
        }
    }
}

#[test]
fn a_long_conversation_adds_no_series_and_an_empty_prompt_does_not_panic() {
    let page = page_of(|| {
        for turn in 0..1_000 {
            record((0, 0), "/chat", turn);
        }
    });
    assert_eq!(page.matches("prompt_cached_ratio_count{").count(), 6);
    assert!(!page.contains("NaN"));
}

#[test]
fn tokens_are_read_from_headers_and_from_the_usage_of_a_body() {
    let mut headers = HeaderMap::new();
    assert_eq!(tokens_of_headers(&headers), None);
    headers.insert("fireworks-prompt-tokens", 1000.into());
    assert_eq!(tokens_of_headers(&headers), None);
    headers.insert("fireworks-cached-prompt-tokens", 800.into());
    assert_eq!(tokens_of_headers(&headers), Some((800, 1000)));
    headers.insert("fireworks-prompt-tokens", "many".parse().unwrap());
    assert_eq!(tokens_of_headers(&headers), None);

    let usage = |json| serde_json::from_value::<CompletionUsage>(json).unwrap();
    let without = serde_json::json!({
        "prompt_tokens": 1000, "completion_tokens": 1, "total_tokens": 1001,
    });
    assert_eq!(tokens_of_usage(&usage(without.clone())), None);
    let mut with = without;
    with["prompt_tokens_details"] = serde_json::json!({ "cached_tokens": 800 });
    assert_eq!(tokens_of_usage(&usage(with)), Some((800, 1000)));
}

#[tokio::test]
async fn an_application_asserts_that_its_client_sends_the_key() {
    // The layer as the application makes it.
    let layer = SessionAffinityLayer::new().or(FromScope);
    let chat = AffinityKey::from_static("chat-7");
    let request = Request::post(FIREWORKS).body(()).unwrap();

    let received = service_fn(async |request: Request<()>| {
        let (head, ()) = request.into_parts();
        Ok::<_, Infallible>(head)
    });
    let client = ServiceBuilder::new().layer(layer).service(received);
    let sent = chat.scope(client.oneshot(request)).await.unwrap();
    assert_eq!(sent.headers["x-session-affinity"], "chat-7");
}

#[tokio::test]
async fn an_application_asserts_that_nothing_was_sent_without_a_key() {
    let layer = SessionAffinityLayer::new().or(FromScope);
    let work = async |client| converse(client, FIREWORKS).await.unwrap();

    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&outcomes);
    let layer = layer.on_outcome(move |outcome, _| {
        log.lock().unwrap().push(outcome);
    });
    let client = ServiceBuilder::new().layer(layer);
    work(client.service(service_fn(provider))).await;
    let outcomes = outcomes.lock().unwrap();
    let lost = outcomes.iter().filter(|outcome| !outcome.is_sent());
    assert_eq!(lost.count(), 2);
}

#[test]
fn the_documentation_shows_code_that_runs() {
    let plain =
        |text: &str| -> String { text.replace("pub(crate)", "").split_whitespace().collect() };
    let sources = [
        include_str!("../examples/metrics/main.rs"),
        include_str!("../examples/metrics/labels.rs"),
        include_str!("../examples/metrics/cached.rs"),
        include_str!("metrics.rs"),
    ];
    let sources = sources.map(plain).concat();
    let documentation = include_str!("../../docs/observability.md");
    let blocks = documentation.split("```rust,ignore\n").skip(1);
    let blocks: Vec<_> = blocks
        .filter_map(|block| block.split("```").next())
        .collect();
    assert!(blocks.len() >= 5, "the page has {} blocks", blocks.len());
    for block in blocks {
        for paragraph in block.split("\n\n") {
            assert!(
                sources.contains(&plain(paragraph)),
                "neither the example nor a test has this code:\n{paragraph}"
            );
        }
    }
}

//! Counts what the layer did, in Prometheus and in OpenTelemetry, and what the
//! provider had cached.
//!
//! `cargo run -p stacks --example metrics` makes a few requests against a
//! stand-in for a provider, and prints both.

mod cached;
mod labels;

use std::error::Error;

use async_openai::types::chat::{CompletionUsage, PromptTokensDetails};
use http::{Request, Response};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::metrics::data::ScopeMetrics;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityFutureExt, AffinityKey, Destinations, FromExtension, FromScope, NoAffinity, Or,
    Outcome, SessionAffinityLayer,
};

pub(crate) use cached::{record, tokens_of_headers, tokens_of_usage};
pub(crate) use labels::labels;

pub(crate) type Layer = SessionAffinityLayer<Or<FromExtension, FromScope>>;

/// Counts in `session_affinity_requests_total`, for Prometheus.
pub(crate) fn counted_by_prometheus(route: &'static str, destinations: Destinations) -> Layer {
    let layer = SessionAffinityLayer::new().or(FromScope);
    let layer = layer.destinations(destinations.clone());
    layer.on_outcome(move |outcome, head| {
        let labels = labels(route, &destinations, outcome, head);
        metrics::counter!("session_affinity_requests_total", &labels).increment(1);
    })
}

/// Counts in `session_affinity.requests`, for OpenTelemetry.
pub(crate) fn counted_by_opentelemetry(
    route: &'static str,
    destinations: Destinations,
    meter: &Meter,
) -> Layer {
    let requests = meter.u64_counter("session_affinity.requests").build();
    let layer = SessionAffinityLayer::new().or(FromScope);
    let layer = layer.destinations(destinations.clone());
    layer.on_outcome(move |outcome, head| {
        let labels = labels(route, &destinations, outcome, head);
        requests.add(1, &labels.map(|(name, value)| KeyValue::new(name, value)));
    })
}

/// Creates the counters of a route, so that `rate()` counts its first request.
pub(crate) fn begin_at_zero(route: &'static str, host: &'static str, header: &'static str) {
    for outcome in Outcome::ALL {
        let sent = outcome.is_sent().to_string();
        metrics::counter!(
            "session_affinity_requests_total",
            "route" => route, "host" => host, "header" => header,
            "outcome" => outcome.as_str(), "sent" => sent,
        )
        .absolute(0);
    }
}

/// Returns a recorder with buckets for a share between 0 and 1.
pub(crate) fn prometheus() -> Result<PrometheusBuilder, BuildError> {
    let share = Matcher::Full("prompt_cached_ratio".to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(share, &[0.1, 0.25, 0.5, 0.75, 0.9, 1.0])
}

/// Makes five requests: three turns of a conversation, its title with
/// `NoAffinity`, and a call outside any scope.
pub(crate) async fn converse<S>(client: S, url: &'static str) -> Result<(), Box<dyn Error>>
where
    S: Service<Request<()>, Response = Response<CompletionUsage>, Error = http::Error> + Clone,
{
    let request = || Request::post(url).body(());
    let conversation = async {
        for turn in 1..=3 {
            let response = client.clone().oneshot(request()?).await?;
            let tokens = tokens_of_headers(response.headers());
            if let Some(tokens) = tokens.or_else(|| tokens_of_usage(response.body())) {
                record(tokens, "/chat", turn);
            }
        }
        let mut title = request()?;
        title.extensions_mut().insert(NoAffinity);
        client.clone().oneshot(title).await
    };
    conversation
        .in_affinity(AffinityKey::from_static("chat-7"))
        .await?;
    client.clone().oneshot(request()?).await?;
    Ok(())
}

/// Stands in for a provider with replicas: a request with a key finds its
/// prompt cached.
///
/// Fireworks reports that in headers, other providers in the body. Here the body
/// is nothing but its `usage`.
pub(crate) async fn provider(
    request: Request<()>,
) -> Result<Response<CompletionUsage>, http::Error> {
    let cached = if request.headers().is_empty() { 0 } else { 800 };
    if request.uri().host() == Some("api.fireworks.ai") {
        return Response::builder()
            .header("fireworks-prompt-tokens", 1000)
            .header("fireworks-cached-prompt-tokens", cached)
            .body(CompletionUsage::default());
    }
    let details = PromptTokensDetails {
        cached_tokens: Some(cached),
        ..Default::default()
    };
    Ok(Response::new(CompletionUsage {
        prompt_tokens: 1000,
        prompt_tokens_details: Some(details),
        ..Default::default()
    }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = "https://api.fireworks.ai/inference/v1/chat/completions";
    let known = Destinations::known();

    let page = prometheus()?.install_recorder()?;
    begin_at_zero("/chat", "api.fireworks.ai", "x-session-affinity");
    let layer = counted_by_prometheus("/chat", known.clone());
    let client = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(provider));
    converse(client, url).await?;
    println!("{}", page.render());

    let exporter = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder()
        .with_periodic_exporter(exporter.clone())
        .build();
    let layer = counted_by_opentelemetry("/chat", known, &meters.meter("example"));
    let client = ServiceBuilder::new()
        .layer(layer)
        .service(service_fn(provider));
    converse(client, url).await?;
    meters.force_flush()?;
    for exported in exporter.get_finished_metrics()? {
        for metric in exported.scope_metrics().flat_map(ScopeMetrics::metrics) {
            println!("{}: {:?}", metric.name(), metric.data());
        }
    }
    Ok(())
}

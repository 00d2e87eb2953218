//! The Azure SDK: a policy of its pipeline that calls `layer.stamp`.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{
    ClientOptions, Context, FixedRetryOptions, Method, Pipeline, Request, RetryOptions, Transport,
};
use azure_core::time::Duration;
use http::{Extensions, HeaderMap};
use tower_session_affinity::{
    AffinityKey, FromScope, HostPattern, KeyExtractor, SessionAffinityLayer,
};

use crate::support::{Server, key};

/// The wiring: `options.per_call_policies.push(Arc::new(Affinity(layer)))`.
///
/// A policy for each call sets the header once, and every try sends it.
#[derive(Debug)]
struct Affinity<K>(SessionAffinityLayer<K>);

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait has it so: to `async_trait`, `Context<'_>` is a different lifetime"
)]
#[async_trait]
impl<K: KeyExtractor + Debug + Send + Sync> Policy for Affinity<K> {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let mut extensions = Extensions::new();
        if let Some(key) = context.value::<AffinityKey>() {
            extensions.insert(key.clone());
        }
        let method = request.method().as_str().parse().unwrap_or_default();
        let uri = request.url().as_str().parse().unwrap_or_default();
        let before = to_http(request.headers());
        let mut headers = before.clone();
        self.0.stamp(&method, &uri, &mut headers, &extensions);
        write_back(&before, &headers, request.headers_mut());
        next[0].send(context, request, &next[1..]).await
    }
}

/// Azure's headers are strings, one for each name.
fn to_http(headers: &Headers) -> HeaderMap {
    let pairs = headers.iter().map(|(name, value)| {
        let name = name.as_str().parse().ok()?;
        Some((name, value.as_str().parse().ok()?))
    });
    pairs.flatten().collect()
}

fn write_back(before: &HeaderMap, after: &HeaderMap, headers: &mut Headers) {
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        headers.remove(HeaderName::from(name.to_string()));
    }
    for (name, value) in after {
        let changed = before.get(name) != Some(value);
        if let (true, Ok(value)) = (changed, value.to_str()) {
            headers.insert(name.to_string(), value.to_owned());
        }
    }
}

/// The pipeline that the generated clients are made of.
fn pipeline<K>(layer: SessionAffinityLayer<K>) -> Pipeline
where
    K: KeyExtractor + Debug + Send + Sync + 'static,
{
    let at_once = FixedRetryOptions {
        delay: Duration::ZERO,
        ..FixedRetryOptions::default()
    };
    let options = ClientOptions {
        per_call_policies: vec![Arc::new(Affinity(layer))],
        retry: RetryOptions::fixed(at_once),
        transport: Some(Transport::new(Arc::new(reqwest::Client::new()))),
        ..ClientOptions::default()
    };
    Pipeline::new(Some("stacks"), None, options, vec![], vec![], None)
}

async fn post(pipeline: &Pipeline, context: &Context<'_>, server: &Server) {
    let mut request = Request::new(server.url("/").parse().unwrap(), Method::Post);
    pipeline.send(context, &mut request, None).await.unwrap();
}

#[tokio::test]
async fn a_call_carries_the_key_of_its_context_or_of_the_scope() {
    let server = Server::start().await;
    let pipeline = pipeline(SessionAffinityLayer::new().or(FromScope));
    let context = Context::new().with_value(key("of-the-call"));
    post(&pipeline, &context, &server).await;
    let nothing = Context::new();
    let call = post(&pipeline, &nothing, &server);
    key("of-the-scope").scope(call).await;
    post(&pipeline, &nothing, &server).await;
    let lines = [vec!["of-the-call"], vec!["of-the-scope"], vec![]];
    assert_eq!(server.lines(), lines);
}

#[tokio::test]
async fn every_retry_carries_the_key_once() {
    let server = Server::unavailable_then("done").await;
    let pipeline = pipeline(SessionAffinityLayer::new().or(key("chat-7")));
    post(&pipeline, &Context::new(), &server).await;
    assert_eq!(server.lines(), [["chat-7"]; 3]);
}

#[tokio::test]
async fn the_callers_header_is_kept_and_not_sent_to_a_host_that_is_not_listed() {
    let (listed, unlisted) = (Server::start().await, Server::start().await);
    let host: HostPattern = listed.authority().parse().unwrap();
    let layer = SessionAffinityLayer::new().or(key("ours"));
    let pipeline = pipeline(layer.only_hosts([host]));
    for server in [&listed, &unlisted] {
        let mut request = Request::new(server.url("/").parse().unwrap(), Method::Get);
        request.insert_header("x-session-affinity", "theirs");
        let sent = pipeline.send(&Context::new(), &mut request, None).await;
        sent.unwrap();
    }
    assert_eq!(
        [listed.lines(), unlisted.lines()],
        [vec![vec!["theirs"]], vec![vec![]]]
    );
}

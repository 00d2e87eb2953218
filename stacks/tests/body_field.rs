//! The session in the body, through each stack, against servers that read it as providers do.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::{HttpRequestFactory, retry::OpenAIRetryLayer};
use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequest};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Version};
use http_body_util::{BodyExt, Full, channel::Channel};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use reqwest_middleware::ClientBuilder;
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, Destination, Destinations, FieldBody, FromScope, PromptCacheKeyLayer, header,
};

use crate::axum::point_at;
use crate::support::{Server, completion, connector, key, or_hung};

const PROMPT: &str = r#"{"model":"stub","messages":[]}"#;
const WRITTEN: &str = r#"{"model":"stub","messages":[],"prompt_cache_key":"chat-7"}"#;

/// The row of OpenAI, for the servers of these tests.
fn local() -> Destinations {
    let row = Destination::body_field("127.0.0.1", "prompt_cache_key").unwrap();
    let row = row.path_suffixes(["/chat/completions"]).unwrap();
    row.max_len(64).unwrap().into()
}

/// A server that reads bodies as OpenAI does, and records them.
struct OpenAi {
    server: Server,
    seen: Seen,
}

#[derive(Clone, Default)]
struct Seen {
    bodies: Arc<Mutex<Vec<Bytes>>>,
    /// The number of requests that are still answered with 503.
    refusals: Arc<AtomicUsize>,
}

impl OpenAi {
    async fn start() -> Self {
        Self::after_refusals(0).await
    }

    async fn after_refusals(refusals: usize) -> Self {
        let seen = Seen::default();
        seen.refusals.store(refusals, Ordering::SeqCst);
        let router = Router::new()
            .fallback(complete)
            .layer(DefaultBodyLimit::disable())
            .with_state(seen.clone());
        let server = Server::with(router).await;
        Self { server, seen }
    }

    fn url(&self) -> String {
        self.server.url("/v1/chat/completions")
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.seen
            .bodies
            .lock()
            .expect("no panic while it is locked")
            .clone()
    }
}

async fn complete(State(seen): State<Seen>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        assert_eq!(length, &body.len().to_string());
    }
    let prompt: Value = serde_json::from_slice(&body).expect("JSON");
    seen.bodies
        .lock()
        .expect("no panic while it is locked")
        .push(body);
    let key = prompt["prompt_cache_key"].as_str();
    let refusals = &seen.refusals;
    if key.is_some_and(|key| key.chars().count() > 64) {
        let error = json!({ "error": { "code": "string_above_max_length" } });
        (StatusCode::BAD_REQUEST, Json(error)).into_response()
    } else if refusals
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    {
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "0")]).into_response()
    } else {
        Json(completion("answer 1")).into_response()
    }
}

/// The wiring around a hyper client, or any tower client whose body type is free.
#[tokio::test]
async fn a_hyper_client_sends_the_field_over_http1_and_over_http2() {
    let openai = OpenAi::start().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(version == Version::HTTP_2)
            .build(connector());
        let client = ServiceBuilder::new()
            .layer(PromptCacheKeyLayer::new().destinations(local()))
            .service(client);
        let request = Request::post(openai.url())
            .header(CONTENT_TYPE, "application/json")
            .extension(key("chat-7"))
            .body(Full::<Bytes>::from(PROMPT));
        let response = client.oneshot(request.unwrap()).await.unwrap();
        assert_eq!(
            (response.status(), response.version()),
            (StatusCode::OK, version)
        );
    }
    assert_eq!(openai.bodies(), [WRITTEN, WRITTEN]);
}

#[tokio::test]
async fn a_client_with_its_own_body_type_gets_that_type() {
    let openai = OpenAi::start().await;
    let layer = PromptCacheKeyLayer::new().destinations(local());
    let client = ServiceBuilder::new()
        .layer(layer)
        .map_request(|request: http::Request<FieldBody<Body>>| request.map(Body::new))
        .service(Client::builder(TokioExecutor::new()).build::<_, Body>(connector()));
    let request = Request::post(openai.url())
        .header(CONTENT_TYPE, "application/json")
        .extension(key("chat-7"))
        .body(Body::from(PROMPT));
    client.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(openai.bodies(), [WRITTEN]);
}

/// The wiring around reqwest.
fn reqwest_client() -> impl tower::Service<
    reqwest::Request,
    Response = reqwest::Response,
    Error = reqwest::Error,
    Future: Send,
> + Clone {
    ServiceBuilder::new()
        .layer(
            PromptCacheKeyLayer::new()
                .or(FromScope)
                .destinations(local()),
        )
        .service(reqwest::Client::new())
}

fn post(openai: &OpenAi, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    let request = reqwest::Client::new().post(openai.url()).body(body);
    request.header(CONTENT_TYPE, "application/json")
}

#[tokio::test]
async fn reqwest_sends_the_field_of_a_body_in_memory_and_of_one_that_streams() {
    let openai = OpenAi::start().await;
    let chunks = || tokio_stream::iter(PROMPT.as_bytes().chunks(7).map(Ok::<_, Infallible>));
    let length = PROMPT.len();
    for request in [
        post(&openai, PROMPT),
        post(&openai, PROMPT).header(CONTENT_LENGTH, length),
        post(&openai, reqwest::Body::wrap_stream(chunks())),
        post(&openai, reqwest::Body::wrap_stream(chunks())).header(CONTENT_LENGTH, length),
    ] {
        let sent = reqwest_client().oneshot(request.build().unwrap());
        assert_eq!(
            key("chat-7").scope(sent).await.unwrap().status(),
            StatusCode::OK
        );
    }
    assert_eq!(openai.bodies(), [WRITTEN; 4]);
}

#[tokio::test]
async fn a_body_in_memory_stays_in_memory_and_is_untouched_if_no_field_is_added() {
    let openai = OpenAi::start().await;
    let in_memory = service_fn(async |request: reqwest::Request| {
        let again = request.try_clone().expect("a body in memory");
        let text = again
            .body()
            .and_then(reqwest::Body::as_bytes)
            .expect("the same");
        Ok::<_, Infallible>(String::from_utf8(text.to_vec()).unwrap())
    });
    let layer = PromptCacheKeyLayer::new()
        .or(key("chat-7"))
        .destinations(local());
    let client = ServiceBuilder::new().layer(layer).service(in_memory);
    for (text, expected) in [
        (PROMPT, WRITTEN),
        ("{}", r#"{ "prompt_cache_key":"chat-7"}"#),
        (
            r#"{"prompt_cache_key":null}"#,
            r#"{"prompt_cache_key":null}"#,
        ),
        ("[]", "[]"),
        (r#"{"a":"#, r#"{"a":"#),
        ("", ""),
    ] {
        let request = post(&openai, text).build().unwrap();
        assert_eq!(client.clone().oneshot(request).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn reqwest_middleware_sends_the_field_once_with_every_retry() {
    let at_once = ExponentialBackoff::builder().retry_bounds(Duration::ZERO, Duration::ZERO);
    let at_once = at_once.build_with_max_retries(2);
    let retries = || RetryTransientMiddleware::new_with_policy(at_once);
    let layer = PromptCacheKeyLayer::new().destinations(local());
    for client in [
        ClientBuilder::new(reqwest::Client::new())
            .with(retries())
            .with(layer.clone())
            .build(),
        ClientBuilder::new(reqwest::Client::new())
            .with(layer)
            .with(retries())
            .build(),
    ] {
        let openai = OpenAi::after_refusals(2).await;
        let request = client.post(openai.url()).body(PROMPT);
        let request = request.header(CONTENT_TYPE, "application/json");
        let response = request.with_extension(key("chat-7")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(openai.bodies(), [WRITTEN; 3]);
    }
}

#[tokio::test]
async fn async_openai_sends_the_field_through_its_middleware_and_its_retries() {
    let openai = OpenAi::after_refusals(1).await;
    let http = reqwest_client();
    let send = service_fn(move |factory: HttpRequestFactory| {
        let http = http.clone();
        async move { Ok::<_, OpenAIError>(http.oneshot(factory.build().await?).await?) }
    });
    let send = ServiceBuilder::new()
        .layer(OpenAIRetryLayer::default())
        .service(send);
    let config = OpenAIConfig::new().with_api_base(openai.server.url("/v1"));
    let client = async_openai::Client::with_config(config.with_api_key("none"));
    let client = client.with_http_service(send);

    let mut prompt = CreateChatCompletionRequest {
        model: "stub".to_owned(),
        messages: vec![ChatCompletionRequestUserMessage::from("hello").into()],
        ..Default::default()
    };
    key("chat-7")
        .scope(client.chat().create(prompt.clone()))
        .await
        .unwrap();
    // The field that the application sets in its prompt wins.
    prompt.prompt_cache_key = Some("typed".to_owned());
    key("chat-7")
        .scope(client.chat().create(prompt))
        .await
        .unwrap();

    let bodies = openai.bodies();
    let keys = bodies.iter().map(|body| {
        let body: Value = serde_json::from_slice(body).unwrap();
        body["prompt_cache_key"].as_str().unwrap().to_owned()
    });
    assert_eq!(keys.collect::<Vec<_>>(), ["chat-7", "chat-7", "typed"]);
}

#[tokio::test]
async fn a_key_that_openai_would_refuse_is_not_sent() {
    let openai = OpenAi::start().await;
    for (len, is_sent) in [(64, true), (65, false)] {
        let long: AffinityKey = "k".repeat(len).parse().unwrap();
        let sent = reqwest_client().oneshot(post(&openai, PROMPT).build().unwrap());
        assert_eq!(long.scope(sent).await.unwrap().status(), StatusCode::OK);
        let body = openai.bodies().pop().unwrap();
        assert_eq!(body != PROMPT, is_sent, "a key of {len} bytes");
    }
}

/// The wiring of a gateway: the session that the caller names becomes the field, while the body streams.
fn gateway(upstream: Authority) -> Router {
    let layer = PromptCacheKeyLayer::new()
        .adopt([header::X_SESSION_ID])
        .destinations(local());
    let client = ServiceBuilder::new()
        .layer(layer)
        .service(Client::builder(TokioExecutor::new()).build(connector()));
    Router::new().fallback(async move |mut request: Request| {
        point_at(&upstream, &mut request);
        client
            .oneshot(request)
            .await
            .map_err(|_| StatusCode::BAD_GATEWAY)
    })
}

/// Starts a server that tells when a body begins to arrive, and answers with all of it.
async fn start_reader() -> (Server, mpsc::Receiver<()>) {
    let (begun, beginnings) = mpsc::channel(1);
    let read = async move |headers: HeaderMap, mut body: Body| {
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
            if text.is_empty() {
                begun.send(()).await.map_err(|_| StatusCode::GONE)?;
            }
            text.extend(frame.into_data().unwrap_or_default());
        }
        let announced = headers.get(CONTENT_LENGTH).cloned();
        let announced = announced.map(|length| [("x-announced", length)]);
        Ok::<_, StatusCode>((announced, text))
    };
    (Server::with(Router::new().fallback(read)).await, beginnings)
}

#[tokio::test]
async fn a_gateway_sends_the_first_byte_of_4_mib_before_the_last_one_exists() {
    let line = r#"{"role":"user","content":"what \"else\" is there?\n"},"#;
    let prompt = format!(
        r#"{{"messages":[{}null]}}"#,
        line.repeat((4 << 20) / line.len() + 1)
    );
    let prompt = Bytes::from(format!("{prompt}\n"));
    assert!(prompt.len() > 4 << 20);
    let written = r#","prompt_cache_key":"chat-7"}"#;
    let expected = [&prompt[..prompt.len() - 2], written.as_bytes(), b"\n"].concat();

    let (upstream, mut beginnings) = start_reader().await;
    let gateway = Server::with(gateway(upstream.authority().parse().unwrap())).await;
    for (version, announced) in [
        (Version::HTTP_11, Some(prompt.len())),
        (Version::HTTP_11, None),
        (Version::HTTP_2, Some(prompt.len())),
        (Version::HTTP_2, None),
    ] {
        let (mut chunks, body) = Channel::<Bytes>::new(1);
        let mut request = Request::post(gateway.url("/v1/chat/completions"))
            .header(CONTENT_TYPE, "application/json")
            .header("x-session-id", "chat-7");
        if let Some(length) = announced {
            request = request.header(CONTENT_LENGTH, length);
        }
        let caller = Client::builder(TokioExecutor::new())
            .http2_only(version == Version::HTTP_2)
            .build(connector());
        let answer = tokio::spawn(caller.request(request.body(body).unwrap()));

        let mut rest = prompt.clone();
        chunks.send_data(rest.split_to(8 * 1024)).await.unwrap();
        // The rest is sent only after this has arrived.
        or_hung("the first byte", beginnings.recv()).await.unwrap();
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(8 * 1024));
            or_hung("a chunk", chunks.send_data(chunk)).await.unwrap();
        }
        drop(chunks);

        let response = or_hung("the answer", answer).await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let length = response.headers().get("x-announced").cloned();
        let length = length.map(|length| length.to_str().unwrap().parse::<usize>().unwrap());
        assert_eq!(length, announced.map(|_| expected.len()));
        let arrived = response.into_body().collect().await.unwrap().to_bytes();
        assert!(
            arrived == expected,
            "the body is different over {version:?}, with the length {announced:?}"
        );
    }
    assert_eq!(
        upstream.lines_of(&header::X_SESSION_ID),
        vec![Vec::<String>::new(); 4]
    );
}

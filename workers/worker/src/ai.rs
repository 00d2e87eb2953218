//! The AI binding, `env.AI.run(model, input, options)`.

use http::HeaderMap;
use serde_json::{Value, json};
use worker::{Env, HttpResponse, Result};

use crate::{js, session};

pub(crate) const MODEL: &str = "@cf/meta/llama-3.3-70b-instruct-fp8-fast";

/// Where the models of the binding are over HTTP.
pub(crate) const API: &str = "https://api.cloudflare.com/client/v4/accounts/a/ai/run";

/// Runs a model, with these headers and that of the session.
///
/// `worker::Ai::run` has no argument for options (0.8.7). The raw response is JSON or a stream, as the input asks.
pub(crate) async fn run(env: &Env, input: Value, headers: HeaderMap) -> Result<HttpResponse> {
    run_with(env, input, headers, json!({})).await
}

/// The same through the AI Gateway of this id.
pub(crate) async fn run_through(env: &Env, gateway: &str, input: Value) -> Result<HttpResponse> {
    run_with(
        env,
        input,
        HeaderMap::new(),
        json!({ "gateway": { "id": gateway } }),
    )
    .await
}

async fn run_with(
    env: &Env,
    input: Value,
    headers: HeaderMap,
    mut options: Value,
) -> Result<HttpResponse> {
    options["extraHeaders"] = session::headers_for(API, headers).into();
    options["returnRawResponse"] = true.into();
    let promise = js::call(
        env.ai("AI")?.as_ref(),
        "run",
        &json!([MODEL, input, options]),
    )?;
    js::response(promise).await
}

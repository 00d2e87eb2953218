//! The AI binding, `env.AI.run(model, input, options)`.

use http::HeaderMap;
use serde_json::{Value, json};
use worker::{Env, HttpResponse, Result};

use crate::{js, session};

pub(crate) const MODEL: &str = "@cf/meta/llama-3.3-70b-instruct-fp8-fast";

/// The HTTP address of the binding's models.
pub(crate) const API: &str = "https://api.cloudflare.com/client/v4/accounts/a/ai/run";

/// Runs a model with these headers and the header of the session.
///
/// `worker::Ai::run` (0.8.7) does not take options. The raw response is JSON or a stream, depending on the input.
pub(crate) async fn run(env: &Env, input: Value, headers: HeaderMap) -> Result<HttpResponse> {
    run_with(env, input, headers, json!({})).await
}

/// Runs a model through the AI Gateway with this id.
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

//! AI Gateway through the binding, `env.AI.gateway(id).run(requests)`.

use http::HeaderMap;
use serde_json::{Value, json};
use worker::{Env, HttpResponse, Result};

use crate::{ai, js, session};

/// Sends a prompt through the gateway with this id, which tries one model after the other until one answers.
pub(crate) async fn run(env: &Env, id: &str, prompt: &str) -> Result<HttpResponse> {
    let messages = json!([{ "role": "user", "content": prompt }]);
    let requests = [
        request(
            "workers-ai",
            ai::MODEL,
            ai::API,
            &json!({ "messages": messages }),
        ),
        request(
            "grok",
            "v1/chat/completions",
            "https://api.x.ai/v1/chat/completions",
            &json!({ "model": "grok-4", "messages": messages }),
        ),
    ];
    let gateway = js::call(env.ai("AI")?.as_ref(), "gateway", &json!([id]))?;
    js::response(js::call(&gateway, "run", &json!([requests]))?).await
}

/// Describes a request that the gateway sends with exactly these headers. `api` is the provider's own address of the
/// model.
fn request(provider: &str, endpoint: &str, api: &'static str, query: &Value) -> Value {
    json!({
        "provider": provider,
        "endpoint": endpoint,
        "headers": session::headers_for(api, HeaderMap::new()),
        "query": query,
    })
}

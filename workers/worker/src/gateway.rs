//! AI Gateway over the binding, `env.AI.gateway(id).run(requests)`.

use http::HeaderMap;
use serde_json::{Value, json};
use worker::{Env, HttpResponse, Result};

use crate::{ai, js, session};

/// Asks a model through the gateway, which calls the provider with the headers of its request.
pub(crate) async fn run(env: &Env, id: &str, query: Value) -> Result<HttpResponse> {
    let requests = json!([{
        "provider": "workers-ai",
        "endpoint": ai::MODEL,
        "headers": session::headers_for(ai::API, HeaderMap::new()),
        "query": query,
    }]);
    let gateway = js::call(env.ai("AI")?.as_ref(), "gateway", &json!([id]))?;
    js::response(js::call(&gateway, "run", &json!([requests]))?).await
}

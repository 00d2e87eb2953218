//! The REST API of Workers AI, over `fetch`.

use axum::body::Body;
use http::{Request, header};
use serde_json::json;
use tower::ServiceExt;
use worker::{Env, HttpResponse, Result};

use crate::fetch::client;

/// Sends a prompt to a model.
pub(crate) async fn chat(env: &Env, prompt: &str) -> Result<HttpResponse> {
    let body = json!({
        "model": crate::ai::MODEL,
        "messages": [{ "role": "user", "content": prompt }],
    });
    let request = Request::post(url(env, "v1/chat/completions")?)
        .header(
            header::AUTHORIZATION,
            format!("Bearer {}", env.secret("API_TOKEN")?),
        )
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))?;
    client().oneshot(request).await
}

/// Lists the models. This request has no body, so redirects of it can be followed.
pub(crate) async fn models(env: &Env) -> Result<HttpResponse> {
    let request = Request::get(url(env, "models/search")?)
        .header(
            header::AUTHORIZATION,
            format!("Bearer {}", env.secret("API_TOKEN")?),
        )
        .body(Body::empty())?;
    client().oneshot(request).await
}

fn url(env: &Env, path: &str) -> Result<String> {
    let account = env.var("ACCOUNT_ID")?;
    Ok(format!(
        "https://api.cloudflare.com/client/v4/accounts/{account}/ai/{path}"
    ))
}

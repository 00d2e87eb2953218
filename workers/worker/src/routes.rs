//! The routes of the Worker. No handler mentions a session.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::post};
use futures_util::{future, stream};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tower_session_affinity::{AffinityKey, AffinityScopeLayer, FromHeaders, header};
use worker::{Context, Env, HttpResponse, send::SendFuture};

use crate::{ai, chat, gateway, rest, service, tasks};

/// Builds the router. The session that the caller names becomes the scope of the handlers.
pub(crate) fn app(env: Env, context: Context) -> Router {
    let sessions = FromHeaders::new([header::X_SESSION_AFFINITY, header::X_SESSION_ID]);
    Router::new()
        .route("/rest", post(ask_rest))
        .route("/models", post(models))
        .route("/turns", post(turns))
        .route("/join", post(join))
        .route("/stream", post(stream_of_calls))
        .route("/service", post(ask_service))
        .route("/ai", post(run_model))
        .route("/ai-as-another", post(run_model_as_another))
        .route("/ai-through-gateway", post(run_model_through))
        .route("/gateway", post(run_gateway))
        .route("/chats/{name}", post(ask_chat))
        .route("/chats/{name}/{path}", post(tell_chat))
        .route("/spawn", post(spawn))
        .route("/wait-until", post(wait_until))
        .route("/panic", post(panic))
        .layer(AffinityScopeLayer::new().or(sessions))
        .route("/outside", post(outside))
        .with_state(App(env, Arc::new(context)))
}

#[derive(Clone)]
struct App(Env, Arc<Context>);

struct Failed(worker::Error);

type Answer = Result<HttpResponse, Failed>;

#[worker::send]
async fn ask_rest(State(App(env, _)): State<App>, prompt: String) -> Answer {
    Ok(rest::chat(&env, &prompt).await?)
}

#[worker::send]
async fn models(State(App(env, _)): State<App>) -> Answer {
    Ok(rest::models(&env).await?)
}

/// Makes one call after the other. Other requests are answered in between.
#[worker::send]
async fn turns(State(App(env, _)): State<App>, prompt: String) -> Answer {
    rest::chat(&env, &prompt).await?;
    Ok(rest::chat(&env, &prompt).await?)
}

#[worker::send]
async fn join(State(App(env, _)): State<App>, prompt: String) -> Result<(), Failed> {
    let calls = (0..3).map(|_| rest::chat(&env, &prompt));
    future::try_join_all(calls).await?;
    Ok(())
}

/// Makes the calls while the body is read, long after the handler has returned.
async fn stream_of_calls(State(App(env, _)): State<App>, prompt: String) -> Body {
    Body::from_stream(stream::unfold(0, move |turn| {
        let (env, prompt) = (env.clone(), prompt.clone());
        SendFuture::new(async move {
            let answer = rest::chat(&env, &prompt)
                .await
                .map_err(|error| error.to_string());
            (turn < 4).then(|| {
                (
                    answer.map(|answer| format!("{}\n", answer.status())),
                    turn + 1,
                )
            })
        })
    }))
}

#[worker::send]
async fn ask_service(State(App(env, _)): State<App>, prompt: String) -> Answer {
    Ok(service::ask(&env, prompt).await?)
}

#[worker::send]
async fn run_model(State(App(env, _)): State<App>, prompt: String) -> Answer {
    Ok(ai::run(&env, json!({ "prompt": prompt }), HeaderMap::new()).await?)
}

/// Makes a call that has its own headers. The session among them wins.
#[worker::send]
async fn run_model_as_another(State(App(env, _)): State<App>, prompt: String) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("x-own", HeaderValue::from_static("kept"));
    headers.insert(
        header::X_SESSION_AFFINITY,
        HeaderValue::from_static("another"),
    );
    Ok(ai::run(&env, json!({ "prompt": prompt }), headers).await?)
}

#[worker::send]
async fn run_model_through(State(App(env, _)): State<App>, prompt: String) -> Answer {
    Ok(ai::run_through(&env, "my-gateway", json!({ "prompt": prompt })).await?)
}

#[worker::send]
async fn run_gateway(State(App(env, _)): State<App>, prompt: String) -> Answer {
    Ok(gateway::run(&env, "my-gateway", &prompt).await?)
}

#[worker::send]
async fn ask_chat(
    State(App(env, _)): State<App>,
    Path(name): Path<String>,
    prompt: String,
) -> Answer {
    Ok(chat::ask(&env, &name, "", &prompt).await?)
}

#[worker::send]
async fn tell_chat(
    State(App(env, _)): State<App>,
    Path((name, path)): Path<(String, String)>,
) -> Answer {
    Ok(chat::ask(&env, &name, &path, "").await?)
}

#[worker::send]
async fn spawn(State(App(env, _)): State<App>, prompt: String) {
    tasks::spawn(&env, &prompt).await;
}

async fn wait_until(State(App(env, context)): State<App>, prompt: String) {
    tasks::wait_until(&env, &context, &prompt);
}

async fn panic() {
    panic!("planted");
}

/// Returns the caller's session as it arrived, and the key of the scope, on a route outside the scope layer.
async fn outside(headers: HeaderMap) -> Json<Value> {
    let sessions: Vec<_> = headers
        .get_all(header::X_SESSION_ID)
        .iter()
        .map(|v| v.to_str().ok())
        .collect();
    Json(
        json!({ "sessions": sessions, "scope": AffinityKey::current().as_ref().map(AffinityKey::as_str) }),
    )
}

impl From<worker::Error> for Failed {
    fn from(error: worker::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::BAD_GATEWAY, self.0.to_string()).into_response()
    }
}

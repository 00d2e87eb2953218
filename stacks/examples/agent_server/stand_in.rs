//! A stand-in for the model that records what it receives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tower_session_affinity::header;

/// A model that answers no call before every visitor has made one.
#[derive(Clone)]
pub(crate) struct StandIn {
    everybody: Arc<Barrier>,
    /// For each question, the header values of every call.
    received: Arc<Mutex<BTreeMap<String, Vec<Vec<HeaderValue>>>>>,
}

impl StandIn {
    pub(crate) fn new(visitors: usize) -> Self {
        Self {
            everybody: Arc::new(Barrier::new(visitors)),
            received: Arc::default(),
        }
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/chat/completions", post(complete))
            .with_state(self.clone())
    }

    /// Returns the header values of every call about this question.
    pub(crate) fn received(&self, question: &str) -> Vec<Vec<HeaderValue>> {
        let received = self.received.lock();
        let received = received.expect("no panic while it is locked");
        received.get(question).cloned().unwrap_or_default()
    }

    /// Records a call, and returns its number among those about its question.
    fn record(&self, question: &str, headers: &HeaderMap) -> usize {
        let lines = headers.get_all(header::X_SESSION_AFFINITY);
        let received = self.received.lock();
        let mut received = received.expect("no panic while it is locked");
        let calls = received.entry(question.to_owned()).or_default();
        calls.push(lines.iter().cloned().collect());
        calls.len()
    }
}

async fn complete(
    State(model): State<StandIn>,
    headers: HeaderMap,
    Json(prompt): Json<Value>,
) -> Json<Value> {
    let question = prompt["messages"][0]["content"].as_str();
    let question = question.unwrap_or_default();
    let call = model.record(question, &headers);
    model.everybody.wait().await;
    let answer = format!("{question} Answer {call}.");
    Json(json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "stub",
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": answer },
            "finish_reason": "stop",
        }],
    }))
}

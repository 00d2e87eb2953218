//! A server that speaks the OpenAI chat protocol, streamed or not.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tower_session_affinity::header::X_SESSION_AFFINITY;

use super::Server;

/// A chat model that says which turn it answers, and records who asked.
pub(crate) struct Llm {
    server: Server,
    model: Model,
}

#[derive(Clone)]
struct Model {
    turns: Turns,
    /// Makes each turn wait for the other conversations, so that they run at the same time.
    everybody: Arc<Barrier>,
}

/// One request for a chat completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The first message of the prompt; the tests put the conversation's name there.
    pub(crate) conversation: String,
    /// The number of messages of the prompt.
    pub(crate) messages: usize,
    /// The value of each `x-session-affinity` line.
    pub(crate) lines: Vec<String>,
}

type Turns = Arc<Mutex<Vec<Turn>>>;

impl Llm {
    /// Answers a turn when this many conversations have asked for one.
    pub(crate) async fn start(conversations: usize) -> Self {
        let everybody = Arc::new(Barrier::new(conversations));
        let model = Model {
            turns: Turns::default(),
            everybody,
        };
        let router = Router::new()
            .route("/v1/chat/completions", post(complete))
            .with_state(model.clone());
        Self {
            server: Server::with(router).await,
            model,
        }
    }

    /// Returns the base URL for clients.
    pub(crate) fn base_url(&self) -> String {
        self.server.url("/v1")
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn turns(&self) -> Vec<Turn> {
        self.model
            .turns
            .lock()
            .expect("no panic while it is locked")
            .clone()
    }

    /// Asserts that each of these conversations had this many turns, all under its own name.
    #[track_caller]
    pub(crate) fn assert_one_key_each(&self, conversations: &[String], turns: usize) {
        let arrived = self.turns();
        let expected = conversations.len() * turns;
        assert_eq!(arrived.len(), expected, "turns that arrived");
        for name in conversations {
            let own = arrived.iter().filter(|turn| turn.conversation == *name);
            let (messages, lines): (Vec<_>, Vec<_>) =
                own.map(|turn| (turn.messages, turn.lines.clone())).unzip();
            // Each turn adds a question and an answer to the prompt.
            let expected: Vec<_> = (0..turns).map(|n| 2 * n + 1).collect();
            assert_eq!(messages, expected, "messages of each prompt of {name}");
            assert_eq!(lines, vec![vec![name.clone()]; turns], "keys of {name}");
        }
    }
}

impl Turn {
    fn new(headers: &HeaderMap, prompt: &Value) -> Self {
        let messages = prompt["messages"].as_array().expect("a list of messages");
        let values = headers.get_all(X_SESSION_AFFINITY).iter();
        Self {
            conversation: text(&messages[0]["content"]).to_owned(),
            messages: messages.len(),
            lines: values
                .map(|value| value.to_str().expect("ASCII").to_owned())
                .collect(),
        }
    }
}

/// Returns the text of a message, whose content is a text or a list with one part.
fn text(content: &Value) -> &str {
    content
        .as_str()
        .or_else(|| content[0]["text"].as_str())
        .expect("a message with a text")
}

async fn complete(
    State(model): State<Model>,
    headers: HeaderMap,
    Json(prompt): Json<Value>,
) -> Response {
    let turn = Turn::new(&headers, &prompt);
    let answer = format!("answer {}", turn.messages.div_ceil(2));
    model
        .turns
        .lock()
        .expect("no panic while it is locked")
        .push(turn);
    model.everybody.wait().await;
    if prompt["stream"] == true {
        stream(&answer).into_response()
    } else {
        Json(completion(&answer)).into_response()
    }
}

/// Returns the answer to a prompt that is not streamed.
pub(crate) fn completion(answer: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "stub",
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": null,
            "message": { "role": "assistant", "content": answer, "refusal": null },
        }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
    })
}

/// One event for each word, then the end.
fn stream(answer: &str) -> impl IntoResponse + use<> {
    let words: Vec<_> = answer
        .split_inclusive(' ')
        .map(|word| chunk(&json!({ "content": word }), None))
        .collect();
    let end = chunk(&json!({}), Some("stop"));
    let events = words
        .into_iter()
        .chain([end])
        .map(|chunk| chunk.to_string());
    let events = events.chain(["[DONE]".to_owned()]);
    Sse::new(tokio_stream::iter(
        events.map(|data| Ok::<_, Infallible>(Event::default().data(data))),
    ))
}

fn chunk(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "stub",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish_reason }],
    })
}

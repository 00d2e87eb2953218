//! A simulated replica: a chat endpoint with a prefix cache and no model.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::cache::PrefixCache;
use crate::conversation::{Message, word};

/// The size of a replica's cache: 32,768 tokens, enough for both variants of the default run.
pub(crate) const CACHE_BLOCKS: NonZeroUsize = NonZeroUsize::new(2048).unwrap();

/// The time to read one uncached token.
pub(crate) const PREFILL: Duration = Duration::from_micros(100);

/// The time to generate one token.
const DECODE: Duration = Duration::from_millis(4);

/// A replica, shared by its connections.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    name: Arc<str>,
    cache: Arc<Mutex<PrefixCache>>,
    /// Held while reading a prompt: one at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The part of a chat completions request that the simulation reads.
#[derive(Debug, Deserialize)]
struct ChatRequest {
    messages: Vec<Message>,
    max_tokens: usize,
}

type ReplicaBody = Either<Channel<Bytes>, Full<Bytes>>;

impl Replica {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            cache: Arc::new(Mutex::new(PrefixCache::new(CACHE_BLOCKS))),
            turn: Arc::default(),
        }
    }

    /// Answers a request with a stream of tokens.
    pub(crate) async fn answer(self, request: Request<Incoming>) -> Response<ReplicaBody> {
        let Ok(body) = request.into_body().collect().await else {
            return refuse("the request body is incomplete");
        };
        let Ok(chat) = serde_json::from_slice::<ChatRequest>(&body.to_bytes()) else {
            return refuse("not a Chat Completions request");
        };
        let name = self.name.to_string();
        let (sender, body) = Channel::new(1);
        tokio::spawn(self.stream(chat, sender));
        Response::builder()
            .header(header::CONTENT_TYPE, "text/event-stream")
            .header("x-replica", name)
            .body(Either::Left(body))
            .expect("the replica's name is a valid header value")
    }

    async fn stream(self, chat: ChatRequest, mut sender: Sender<Bytes>) {
        let mut tokens = tokenize(&chat.messages);
        let prompt = tokens.len();
        let cached = {
            let _turn = self.turn.lock().await;
            let cached = self.cache(|cache| cache.cached_tokens(&tokens));
            let computed = u32::try_from(prompt - cached).unwrap_or(u32::MAX);
            sleep(PREFILL * computed).await;
            cached
        };

        for index in 0..chat.max_tokens {
            let token = word(prompt + index);
            tokens.push(token);
            let text = if index == 0 {
                token.to_owned()
            } else {
                format!(" {token}")
            };
            let delta = json!({"choices": [{"index": 0, "delta": {"content": text}}]});
            // The client is gone.
            if sender.send_data(event(&delta)).await.is_err() {
                return;
            }
            sleep(DECODE).await;
        }
        self.cache(|cache| cache.insert(&tokens));
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]});
        let usage = json!({"choices": [], "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": chat.max_tokens,
            "prompt_tokens_details": {"cached_tokens": cached},
        }});
        for last in [event(&end), event(&usage), Bytes::from("data: [DONE]\n\n")] {
            let _ = sender.send_data(last).await;
        }
    }

    fn cache<T>(&self, f: impl FnOnce(&mut PrefixCache) -> T) -> T {
        f(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Applies a chat template and treats each word as a token.
fn tokenize(messages: &[Message]) -> Vec<&str> {
    let mut tokens = Vec::new();
    for message in messages {
        tokens.push(message.role.as_str());
        tokens.extend(
            message
                .content
                .as_str()
                .unwrap_or_default()
                .split_whitespace(),
        );
    }
    tokens.push("assistant");
    tokens
}

fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

fn refuse(why: &'static str) -> Response<ReplicaBody> {
    let mut response = Response::new(Either::Right(Full::from(why)));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

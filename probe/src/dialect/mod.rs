//! The APIs that the probe speaks, one per file.

mod chat;
mod error;
mod messages;
mod ollama;
mod responses;

use clap::ValueEnum;
use http::{HeaderMap, Uri, header};
use serde_json::{Map, Value};

use crate::conversation::Message;
use crate::secret::ApiKey;

pub(crate) use error::message;

/// The API of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Api {
    /// OpenAI Chat Completions
    Chat,
    /// Anthropic Messages
    Messages,
    /// OpenAI Responses
    Responses,
    /// Ollama's native chat
    Ollama,
}

/// How to send a request to an API, and how to read its answers.
pub(crate) trait Dialect: Sync {
    /// Returns the end of the path of an endpoint that speaks this API.
    fn path(&self) -> &'static str;

    /// Returns the body of a request.
    fn body(&self, ask: &Ask<'_>) -> Map<String, Value>;

    /// Returns the fields of the body that hold the conversation.
    fn conversation_fields(&self) -> &'static [&'static str];

    /// Adds the API key and the other headers that the API requires.
    fn head(&self, key: &ApiKey, headers: &mut HeaderMap) {
        if let Some(bearer) = key.header_value("Bearer ") {
            headers.insert(header::AUTHORIZATION, bearer);
        }
    }

    /// Reads one event, or a complete answer that was not streamed.
    fn read(&self, event: &Value) -> Piece;
}

/// The contents of a request.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) model: &'a str,
    pub(crate) messages: &'a [Message],
    pub(crate) max_tokens: u32,
}

/// The contents of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The text to add to the answer.
    pub(crate) text: String,
    /// Whether it contains a content or reasoning token.
    pub(crate) is_token: bool,
    pub(crate) end: Option<End>,
    /// Whether the API defines such events.
    pub(crate) is_known: bool,
}

/// How an answer ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The answer is complete, but its usage may follow.
    Complete,
    /// Nothing follows.
    Done,
    /// The endpoint gave up, for this reason.
    GaveUp(String),
}

impl Piece {
    /// Returns the contents of a known event that carries nothing.
    fn known() -> Self {
        Self {
            is_known: true,
            ..Self::default()
        }
    }
}

impl Api {
    /// Chooses by the end of the path; Chat Completions is the default.
    pub(crate) fn of(endpoint: &Uri) -> Self {
        let path = endpoint.path().trim_end_matches('/');
        let speaks = |api: &Self| path.ends_with(api.dialect().path());
        Self::value_variants()
            .iter()
            .copied()
            .find(speaks)
            .unwrap_or(Self::Chat)
    }

    pub(crate) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Chat => &chat::Chat,
            Self::Messages => &messages::Messages,
            Self::Responses => &responses::Responses,
            Self::Ollama => &ollama::Ollama,
        }
    }
}

/// Whether a finish reason says that the endpoint gave up.
fn gave_up(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    let words = [
        "error",
        "abort",
        "cancel",
        "fail",
        "timeout",
        "insufficient",
        "overload",
    ];
    words.iter().any(|word| reason.contains(word))
}

/// Returns the end that a finish reason stands for. Some endpoints send an empty one with every event; it
/// is not an end.
fn end(reason: Option<&Value>) -> Option<End> {
    let reason = reason?.as_str()?.trim();
    match reason {
        "" | "null" | "None" => None,
        reason if gave_up(reason) => Some(End::GaveUp(reason.to_owned())),
        _ => Some(End::Complete),
    }
}

/// Returns the text of a message's content, which is a string or a list of parts, without its reasoning.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text).collect(),
        Value::Object(part) => {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
            match part.get("text") {
                Some(inner) if kind.ends_with("text") => text(inner),
                _ => String::new(),
            }
        }
        _ => String::new(),
    }
}

/// Whether a value contains any text of the model: content, reasoning or a tool call, under any name.
fn has_text(value: &Value) -> bool {
    /// Names whose text does not come from the model.
    const LABELS: [&str; 10] = [
        "role",
        "id",
        "type",
        "index",
        "name",
        "object",
        "status",
        "format",
        "finish_reason",
        "signature",
    ];
    match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(has_text),
        Value::Object(object) => {
            let mut fields = object
                .iter()
                .filter(|(name, _)| !LABELS.contains(&name.as_str()));
            fields.any(|(_, value)| has_text(value))
        }
        _ => false,
    }
}

/// Returns the `type` of an event.
fn kind(event: &Value) -> &str {
    event
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Returns the object made by `json!`.
fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// Returns each message as role and text, for APIs that accept nothing else.
fn plain_messages(messages: &[Message]) -> impl Iterator<Item = (&'static str, String)> {
    messages
        .iter()
        .map(|message| (role(message), text(&message.content)))
}

fn role(message: &Message) -> &'static str {
    match message.role.as_str() {
        "system" | "developer" => "system",
        "assistant" => "assistant",
        // The result of a tool is sent as a message of the user.
        _ => "user",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_api_is_chosen_by_the_path() {
        for (url, api) in [
            ("http://h/v1/chat/completions", Api::Chat),
            (
                "http://h/openai/deployments/m/chat/completions?api-version=1",
                Api::Chat,
            ),
            ("http://h/v1", Api::Chat),
            ("http://h/v1/messages", Api::Messages),
            ("http://h/anthropic/v1/messages/", Api::Messages),
            ("http://h/v1/responses", Api::Responses),
            ("http://h/api/chat", Api::Ollama),
        ] {
            assert_eq!(Api::of(&Uri::from_static(url)), api, "{url}");
        }
    }

    #[test]
    fn a_finish_reason_is_an_end_an_error_or_nothing() {
        let of = |reason: Value| end(Some(&reason));
        assert_eq!(
            [of(json!(null)), of(json!("")), of(json!(" "))],
            [None, None, None]
        );
        for reason in [
            "stop",
            "length",
            "max_tokens",
            "content_filter",
            "tool_calls",
        ] {
            assert_eq!(of(json!(reason)), Some(End::Complete));
        }
        for reason in [
            "error",
            "abort",
            "network_error",
            "insufficient_system_resource",
        ] {
            assert_eq!(of(json!(reason)), Some(End::GaveUp(reason.to_owned())));
        }
    }

    #[test]
    fn the_text_of_a_list_of_parts_excludes_reasoning() {
        let content = json!([
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
            {"type": "text", "text": "Yes"},
            {"type": "output_text", "text": " indeed"},
        ]);
        assert_eq!(text(&content), "Yes indeed");
        assert!(has_text(&content[0]), "reasoning is a token, but not text");
    }
}

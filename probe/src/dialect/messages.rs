//! Anthropic's Messages API.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::{Ask, Dialect, End, Piece, end, has_text, kind, plain_messages, text};
use crate::secret::ApiKey;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");

pub(super) struct Messages;

impl Dialect for Messages {
    fn path(&self) -> &'static str {
        "/messages"
    }

    fn body(&self, ask: &Ask<'_>) -> Map<String, Value> {
        let (mut system, mut messages) = (Vec::new(), Vec::new());
        for (role, text) in plain_messages(ask.messages) {
            let part = json!({"type": "text", "text": text});
            if role == "system" {
                system.push(part);
            } else {
                messages.push(json!({"role": role, "content": [part]}));
            }
        }
        // Nothing is cached without a marker; this one covers the conversation up to here.
        if let Some(part) = messages
            .last_mut()
            .map(|message| &mut message["content"][0])
        {
            part["cache_control"] = json!({"type": "ephemeral"});
        }
        super::object(json!({
            "model": ask.model,
            "system": system,
            "messages": messages,
            "stream": true,
            "max_tokens": ask.max_tokens,
            "temperature": 0,
        }))
    }

    fn conversation_fields(&self) -> &'static [&'static str] {
        &["messages", "system"]
    }

    fn head(&self, key: &ApiKey, headers: &mut HeaderMap) {
        headers.insert(VERSION, HeaderValue::from_static("2023-06-01"));
        if let Some(key) = key.header_value("") {
            headers.insert(API_KEY, key);
        }
    }

    fn read(&self, event: &Value) -> Piece {
        let kind = kind(event);
        match kind {
            "content_block_start" => said(event.get("content_block"), "text"),
            "content_block_delta" => said(event.get("delta"), "text"),
            "message_delta" => Piece {
                end: end(event.pointer("/delta/stop_reason")),
                ..Piece::known()
            },
            "message_stop" => Piece {
                end: Some(End::Done),
                ..Piece::known()
            },
            // A complete answer that was not streamed.
            "message" => Piece {
                end: end(event.get("stop_reason")),
                ..said(Some(event), "content")
            },
            "message_start" | "content_block_stop" | "ping" => Piece::known(),
            _ => Piece::default(),
        }
    }
}

fn said(part: Option<&Value>, name: &str) -> Piece {
    let said = part.and_then(|part| part.get(name));
    Piece {
        text: said.map(text).unwrap_or_default(),
        // In a complete message, only `content` comes from the model.
        is_token: if name == "content" {
            said.is_some_and(has_text)
        } else {
            part.is_some_and(has_text)
        },
        ..Piece::known()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Message;

    #[test]
    fn the_system_prompt_is_separate_and_the_last_message_has_the_cache_marker() {
        let messages = ["system", "user", "assistant", "user"].map(|role| Message::new(role, role));
        let body = Messages.body(&Ask {
            model: "m",
            messages: &messages,
            max_tokens: 8,
        });
        assert_eq!(body["system"], json!([{"type": "text", "text": "system"}]));
        let roles: Vec<_> = body["messages"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|m| &m["role"])
            .collect();
        assert_eq!(roles, ["user", "assistant", "user"]);
        let marked: Vec<_> = (0..3)
            .map(|at| !body["messages"][at]["content"][0]["cache_control"].is_null())
            .collect();
        assert_eq!(marked, [false, false, true]);
    }

    #[test]
    fn text_and_reasoning_are_tokens_and_a_signature_is_not() {
        let delta =
            |delta: Value| Messages.read(&json!({"type": "content_block_delta", "delta": delta}));
        let text = delta(json!({"type": "text_delta", "text": "Yes"}));
        assert_eq!((text.text.as_str(), text.is_token), ("Yes", true));
        let thought = delta(json!({"type": "thinking_delta", "thinking": "Hm"}));
        assert_eq!((thought.text.as_str(), thought.is_token), ("", true));
        assert!(!delta(json!({"type": "signature_delta", "signature": "abc"})).is_token);
    }

    #[test]
    fn the_answer_ends_with_a_stop_reason_and_then_the_last_event() {
        let read = |event: Value| Messages.read(&event).end;
        assert_eq!(
            read(json!({"type": "message_delta", "delta": {"stop_reason": null}})),
            None
        );
        assert_eq!(
            read(json!({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}})),
            Some(End::Complete)
        );
        assert_eq!(read(json!({"type": "message_stop"})), Some(End::Done));
    }
}

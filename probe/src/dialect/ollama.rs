//! Ollama's native API, which sends one line of JSON per event.

use serde_json::{Map, Value, json};

use super::{Ask, Dialect, End, Piece, end, has_text, plain_messages, text};

pub(super) struct Ollama;

impl Dialect for Ollama {
    fn path(&self) -> &'static str {
        "/api/chat"
    }

    fn body(&self, ask: &Ask<'_>) -> Map<String, Value> {
        let messages = plain_messages(ask.messages);
        let messages: Vec<_> = messages
            .map(|(role, text)| json!({"role": role, "content": text}))
            .collect();
        super::object(json!({
            "model": ask.model,
            "messages": messages,
            "stream": true,
            "options": {"num_predict": ask.max_tokens, "temperature": 0},
        }))
    }

    fn conversation_fields(&self) -> &'static [&'static str] {
        &["messages"]
    }

    fn read(&self, event: &Value) -> Piece {
        let message = event.get("message");
        let is_done = event.get("done").and_then(Value::as_bool);
        let done = || match end(event.get("done_reason")) {
            Some(End::GaveUp(reason)) => End::GaveUp(reason),
            _ => End::Done,
        };
        Piece {
            text: message
                .and_then(|message| message.get("content"))
                .map(text)
                .unwrap_or_default(),
            is_token: message.is_some_and(has_text),
            end: is_done.unwrap_or_default().then(done),
            is_known: message.is_some() || is_done.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_and_reasoning_are_tokens_until_done() {
        let piece = Ollama
            .read(&json!({"message": {"role": "assistant", "content": "Yes"}, "done": false}));
        assert_eq!(
            (piece.text.as_str(), piece.is_token, piece.end),
            ("Yes", true, None)
        );
        let piece = Ollama
            .read(&json!({"message": {"role": "assistant", "content": "", "thinking": "Hm"}}));
        assert_eq!((piece.text.as_str(), piece.is_token), ("", true));
        let last = json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "length"});
        let piece = Ollama.read(&last);
        assert_eq!((piece.is_token, piece.end), (false, Some(End::Done)));
    }
}

//! OpenAI's Chat Completions API, which many others speak too.

use serde_json::{Map, Value, json};

use super::{Ask, Dialect, Piece, end, has_text, text};

pub(super) struct Chat;

impl Dialect for Chat {
    fn path(&self) -> &'static str {
        "/chat/completions"
    }

    fn body(&self, ask: &Ask<'_>) -> Map<String, Value> {
        let body = json!({
            "model": ask.model,
            "messages": ask.messages,
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": ask.max_tokens,
            // Repeatable answers, so that runs send comparable prompts.
            "temperature": 0,
        });
        super::object(body)
    }

    fn conversation_fields(&self) -> &'static [&'static str] {
        &["messages"]
    }

    fn read(&self, event: &Value) -> Piece {
        let mut piece = Piece {
            is_known: [
                "choices", "usage", "timings", "x_groq", "id", "created", "model",
            ]
            .iter()
            .any(|name| event.get(name).is_some()),
            ..Piece::default()
        };
        let choices = event.get("choices").and_then(Value::as_array);
        for choice in choices.into_iter().flatten() {
            // An answer that is not streamed has a whole message; Perplexity sends both.
            let said = ["delta", "message", "text"]
                .iter()
                .filter_map(|name| choice.get(name));
            let said = said.into_iter().find(|said| has_text(said));
            piece.is_token |= said.is_some();
            piece.text += &said.map(content).unwrap_or_default();
            let reason = choice.get("finish_reason").or(choice.get("finishReason"));
            piece.end = end(reason).or(piece.end);
        }
        piece
    }
}

fn content(said: &Value) -> String {
    match said {
        Value::String(text) => text.clone(),
        _ => said.get("content").map(text).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::End;

    fn delta(delta: &Value) -> Piece {
        Chat.read(&json!({"choices": [{"index": 0, "delta": delta, "finish_reason": ""}]}))
    }

    #[test]
    fn empty_content_is_not_a_token_and_reasoning_under_any_name_is_one() {
        for empty in [
            json!({"role": "assistant", "content": ""}),
            json!({"role": "assistant", "content": null}),
            json!({"content": []}),
            json!({"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
        ] {
            assert!(!delta(&empty).is_token, "{empty}");
        }
        for thought in [
            json!({"reasoning_content": "Hm"}),
            json!({"reasoning": "Hm"}),
            json!({"reasoning_text": "Hm"}),
            json!({"thinking": "Hm"}),
            json!({"reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]}),
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}),
            json!({"tool_calls": [{"function": {"arguments": "{"}}]}),
        ] {
            let piece = delta(&thought);
            assert!(piece.is_token && piece.text.is_empty(), "{thought}");
        }
    }

    #[test]
    fn an_answer_is_a_string_a_list_of_parts_or_a_whole_message() {
        for choice in [
            json!({"delta": {"content": "Yes"}}),
            json!({"delta": {"content": [{"type": "text", "text": "Yes"}]}}),
            json!({"delta": {"content": {"type": "text", "text": "Yes"}}}),
            json!({"message": {"role": "assistant", "content": "Yes"}}),
            json!({"delta": {"content": "Yes"}, "message": {"content": "Yes"}}),
            json!({"text": "Yes"}),
        ] {
            let piece = Chat.read(&json!({"choices": [choice.clone()]}));
            assert_eq!(
                (piece.text.as_str(), piece.is_token),
                ("Yes", true),
                "{choice}"
            );
        }
    }

    #[test]
    fn an_empty_finish_reason_is_not_the_end() {
        assert_eq!(delta(&json!({"content": "Yes"})).end, None);
        let last = json!({"choices": [{"delta": {}, "finish_reason": "length"}]});
        assert_eq!(Chat.read(&last).end, Some(End::Complete));
    }
}

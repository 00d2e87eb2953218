//! OpenAI's Responses API.

use serde_json::{Map, Value, json};

use super::{Ask, Dialect, End, Piece, has_text, kind, plain_messages, text};

/// The smallest answer length that OpenAI accepts.
const LEAST_TOKENS: u32 = 16;

pub(super) struct Responses;

impl Dialect for Responses {
    fn path(&self) -> &'static str {
        "/responses"
    }

    fn body(&self, ask: &Ask<'_>) -> Map<String, Value> {
        let input = plain_messages(ask.messages);
        let input: Vec<_> = input
            .map(|(role, text)| json!({"role": role, "content": text}))
            .collect();
        super::object(json!({
            "model": ask.model,
            "input": input,
            "stream": true,
            "max_output_tokens": ask.max_tokens.max(LEAST_TOKENS),
            "temperature": 0,
            "store": false,
        }))
    }

    fn conversation_fields(&self) -> &'static [&'static str] {
        &["input", "instructions"]
    }

    fn read(&self, event: &Value) -> Piece {
        let kind = kind(event);
        match kind {
            "response.output_text.delta" => {
                let said = event.get("delta").map(text).unwrap_or_default();
                Piece {
                    is_token: !said.is_empty(),
                    text: said,
                    ..Piece::known()
                }
            }
            // Reasoning, refusals and tool arguments.
            _ if kind.rsplit('.').next() == Some("delta") => Piece {
                is_token: event.get("delta").is_some_and(has_text),
                ..Piece::known()
            },
            "response.completed" | "response.incomplete" | "response.done" => {
                let end = event.get("response").and_then(ended).unwrap_or(End::Done);
                Piece {
                    end: Some(end),
                    ..Piece::known()
                }
            }
            _ if kind.starts_with("response.") => Piece::known(),
            // A complete answer that was not streamed.
            _ if event.get("output").is_some() => whole(event),
            _ => Piece::default(),
        }
    }
}

fn whole(response: &Value) -> Piece {
    let output = response.get("output").and_then(Value::as_array);
    let items = output
        .into_iter()
        .flatten()
        .filter_map(|item| item.get("content").or(item.get("summary")));
    let items: Vec<_> = items.collect();
    Piece {
        text: items.iter().map(|item| text(item)).collect(),
        is_token: items.iter().any(|item| has_text(item)),
        end: ended(response),
        is_known: true,
    }
}

/// Returns how a response ended. Reaching the length limit (`incomplete`) is the usual end here.
fn ended(response: &Value) -> Option<End> {
    match response.get("status").and_then(Value::as_str)? {
        "completed" | "incomplete" => Some(End::Done),
        status @ ("failed" | "cancelled") => Some(End::GaveUp(status.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Message;

    #[test]
    fn the_length_limit_is_at_least_the_smallest_that_openai_accepts() {
        let messages = [Message::new("system", "s"), Message::new("user", "u")];
        let ask = Ask {
            model: "m",
            messages: &messages,
            max_tokens: 8,
        };
        let body = Responses.body(&ask);
        assert_eq!(body["max_output_tokens"], 16);
        assert_eq!(body["input"][0], json!({"role": "system", "content": "s"}));
    }

    #[test]
    fn text_deltas_are_text_and_every_other_delta_is_a_token() {
        let text = Responses.read(&json!({"type": "response.output_text.delta", "delta": "Yes"}));
        assert_eq!((text.text.as_str(), text.is_token), ("Yes", true));
        for kind in [
            "reasoning_text",
            "reasoning_summary_text",
            "function_call_arguments",
            "refusal",
        ] {
            let event = json!({"type": format!("response.{kind}.delta"), "delta": "Hm"});
            let piece = Responses.read(&event);
            assert_eq!((piece.text.as_str(), piece.is_token), ("", true), "{kind}");
        }
        assert!(
            !Responses
                .read(&json!({"type": "response.created", "response": {"id": "1"}}))
                .is_token
        );
    }

    #[test]
    fn an_answer_at_the_length_limit_is_complete_and_a_failed_one_is_not() {
        let read = |kind: &str, status: &str| {
            Responses
                .read(&json!({"type": kind, "response": {"status": status}}))
                .end
        };
        assert_eq!(read("response.completed", "completed"), Some(End::Done));
        assert_eq!(read("response.incomplete", "incomplete"), Some(End::Done));
        assert_eq!(
            read("response.done", "failed"),
            Some(End::GaveUp("failed".to_owned()))
        );
        assert_eq!(read("response.in_progress", "in_progress"), None);
    }
}

//! Errors in an answer that began well, in every shape that endpoints give them.

use serde_json::{Map, Value};

use crate::answer::Event;

/// Where the words of an error stand, the most telling first.
const WORDS: [&str; 17] = [
    "message",
    "Message",
    "msg",
    "detail",
    "details",
    "error_message",
    "error_msg",
    "errorMessage",
    "status_msg",
    "description",
    "error_description",
    "faultstring",
    "reason",
    "title",
    "text",
    "error",
    "code",
];

/// Where an error stands in an event.
const PLACES: [&str; 9] = [
    "/error",
    "/errors",
    "/err",
    "/fault",
    "/response/error",
    "/response/incomplete_details/error",
    "/choices/0/error",
    "/choices/0/delta/error",
    "/message/error",
];

/// Fields that no error has beside its words.
const ANSWER: [&str; 11] = [
    "choices",
    "usage",
    "timings",
    "delta",
    "message",
    "response",
    "output",
    "content_block",
    "candidates",
    "done",
    "index",
];

/// Returns the words of the error that an event holds, if it is one.
pub(crate) fn message(event: &Event, value: &Value) -> Option<String> {
    if let Value::Array(values) = value {
        return values.iter().find_map(|value| message(event, value));
    }
    let found = PLACES.iter().filter_map(|place| value.pointer(place));
    if let Some(error) = found.into_iter().find(|error| is_something(error)) {
        // `true`, or a number, with the words beside it.
        let is_flag = error.is_boolean() || error.is_number();
        return Some(words(if is_flag { value } else { error }));
    }
    // MiniMax sends a status with every event, and zero is success.
    let status = value
        .pointer("/base_resp/status_code")
        .and_then(Value::as_i64);
    if status.is_some_and(|status| status != 0) {
        return Some(words(&value["base_resp"]));
    }
    let object = value.as_object()?;
    let is_error = event.name.eq_ignore_ascii_case("error") || is_called_error(object);
    (is_error || is_only_words(object)).then(|| words(value))
}

fn is_something(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => error != &Value::from(0),
    }
}

/// Whether the event calls itself an error, as those of vLLM, `FastAPI` and many proxies do.
fn is_called_error(object: &Map<String, Value>) -> bool {
    let says = |name: &str, words: &[&str]| {
        let value = object
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_ascii_lowercase();
        words.iter().any(|word| value.ends_with(word))
    };
    says("type", &["error", "failed", "exception"])
        || says("object", &["error"])
        || says("status", &["error", "failed"])
        || object.get("success") == Some(&Value::Bool(false))
        || ["error_code", "error_msg", "errorCode", "error_type"]
            .iter()
            .any(|name| object.get(*name).is_some_and(is_something))
}

/// Whether there is nothing but the words of an error: `detail`, or a code and a message.
fn is_only_words(object: &Map<String, Value>) -> bool {
    let has = |name: &str| object.get(name).is_some_and(is_something);
    let is_answer = ANSWER.iter().any(|name| {
        object
            .get(*name)
            .is_some_and(|value| *name != "message" || !value.is_string())
    });
    !is_answer
        && (has("detail")
            || ["message", "msg", "Message", "title"]
                .iter()
                .any(|name| has(name)))
}

/// Returns the words of an error, or else all of it.
pub(crate) fn words(error: &Value) -> String {
    match error {
        Value::String(text) => serde_json::from_str::<Value>(text)
            .ok()
            .filter(|inner| inner.is_object() || inner.is_array())
            .map_or_else(|| text.clone(), |inner| words(&inner)),
        Value::Array(errors) => {
            let errors: Vec<_> = errors.iter().take(3).map(words).collect();
            errors.join("; ")
        }
        Value::Object(fields) => {
            let found = WORDS.iter().filter_map(|name| fields.get(*name));
            let found = found
                .into_iter()
                .find(|value| is_something(value) && !value.is_boolean());
            let inner = found.or(fields.get("errors")).map(words);
            inner
                .filter(|inner| !inner.is_empty())
                .unwrap_or_else(|| error.to_string())
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(name: &str, value: &Value) -> Option<String> {
        message(
            &Event {
                name: name.to_owned(),
                data: String::new(),
            },
            value,
        )
    }

    #[test]
    fn every_shape_of_an_error_shows_the_words_of_the_endpoint() {
        for (name, event) in [
            ("", json!({"error": {"message": "no memory", "code": 500}})),
            ("", json!({"error": "no memory"})),
            ("", json!({"error": true, "message": "no memory"})),
            ("", json!({"error": "{\"message\": \"no memory\"}"})),
            ("", json!({"error": {"code": 500, "msg": "no memory"}})),
            (
                "",
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "no memory"}}),
            ),
            (
                "",
                json!({"type": "response.failed", "response": {"error": {"code": "x", "message": "no memory"}}}),
            ),
            (
                "",
                json!({"type": "error", "code": "x", "message": "no memory", "param": null}),
            ),
            (
                "",
                json!({"object": "error", "message": "no memory", "code": 400}),
            ),
            ("", json!({"detail": "no memory"})),
            (
                "",
                json!({"detail": [{"loc": ["body"], "msg": "no memory"}]}),
            ),
            (
                "",
                json!({"success": false, "errors": [{"code": 1, "message": "no memory"}]}),
            ),
            (
                "",
                json!({"choices": [{"error": {"code": 502, "message": "no memory"}, "finish_reason": "error"}]}),
            ),
            ("", json!({"code": 500, "message": "no memory"})),
            ("", json!({"message": "no memory"})),
            ("", json!({"error_code": 336_100, "error_msg": "no memory"})),
            (
                "",
                json!({"base_resp": {"status_code": 1008, "status_msg": "no memory"}}),
            ),
            ("", json!({"title": "no memory", "status": 500})),
            (
                "",
                json!({"error": "no memory", "error_type": "overloaded"}),
            ),
            ("", json!([{"error": {"message": "no memory"}}])),
            ("error", json!({"message": "no memory", "statusCode": 500})),
            ("error", json!({"text": "no memory"})),
        ] {
            assert_eq!(
                told(name, &event).as_deref(),
                Some("no memory"),
                "{name} {event}"
            );
        }
        let odd = json!({"error": {"status": 7}});
        assert_eq!(
            told("", &odd).as_deref(),
            Some(r#"{"status":7}"#),
            "all of it, for want of words"
        );
    }

    #[test]
    fn an_answer_is_not_an_error() {
        for event in [
            json!({"error": null, "choices": []}),
            json!({"error": {}, "choices": []}),
            json!({"error": "", "choices": []}),
            json!({"choices": [{"delta": {"content": "Yes"}, "error": null}]}),
            json!({"base_resp": {"status_code": 0, "status_msg": ""}, "choices": []}),
            json!({"type": "ping"}),
            json!({"type": "message_start", "message": {"usage": {}}}),
            json!({"type": "response.created", "response": {"error": null}}),
            json!({"message": {"role": "assistant", "content": "Yes"}, "done": false}),
            json!({"usage": {"prompt_tokens": 1}, "status": "ok"}),
        ] {
            assert_eq!(told("", &event), None, "{event}");
        }
    }
}

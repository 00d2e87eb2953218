//! Errors in an answer with a success status, in every known shape.

use serde_json::{Map, Value};

use crate::answer::Event;

/// The fields that contain the message of an error, the most informative first.
const MESSAGES: [&str; 17] = [
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

/// The places of an error in an event.
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

/// Fields that an error does not have next to its message.
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

/// Returns the error message of an event, if the event is an error.
pub(crate) fn message(event: &Event, value: &Value) -> Option<String> {
    if let Value::Array(values) = value {
        return values.iter().find_map(|value| message(event, value));
    }
    let found = PLACES.iter().filter_map(|place| value.pointer(place));
    if let Some(error) = found.into_iter().find(|error| is_something(error)) {
        // `true` or a number; the message is next to it.
        let is_flag = error.is_boolean() || error.is_number();
        return Some(message_in(if is_flag { value } else { error }));
    }
    // MiniMax sends a status with every event; zero is success.
    let status = value
        .pointer("/base_resp/status_code")
        .and_then(Value::as_i64);
    if status.is_some_and(|status| status != 0) {
        return Some(message_in(&value["base_resp"]));
    }
    let object = value.as_object()?;
    let is_error = event.name.eq_ignore_ascii_case("error") || is_called_error(object);
    (is_error || is_only_message(object)).then(|| message_in(value))
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

/// Whether the event calls itself an error, as with vLLM, `FastAPI` and many proxies.
fn is_called_error(object: &Map<String, Value>) -> bool {
    let says = |name: &str, endings: &[&str]| {
        let value = object
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_ascii_lowercase();
        endings.iter().any(|ending| value.ends_with(ending))
    };
    says("type", &["error", "failed", "exception"])
        || says("object", &["error"])
        || says("status", &["error", "failed"])
        || object.get("success") == Some(&Value::Bool(false))
        || ["error_code", "error_msg", "errorCode", "error_type"]
            .iter()
            .any(|name| object.get(*name).is_some_and(is_something))
}

/// Whether the event has nothing but an error message: `detail`, or a code and a message.
fn is_only_message(object: &Map<String, Value>) -> bool {
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

/// Returns the message of an error, or the whole error if it has none.
pub(crate) fn message_in(error: &Value) -> String {
    match error {
        Value::String(text) => serde_json::from_str::<Value>(text)
            .ok()
            .filter(|inner| inner.is_object() || inner.is_array())
            .map_or_else(|| text.clone(), |inner| message_in(&inner)),
        Value::Array(errors) => {
            let errors: Vec<_> = errors.iter().take(3).map(message_in).collect();
            errors.join("; ")
        }
        Value::Object(fields) => {
            let found = MESSAGES.iter().filter_map(|name| fields.get(*name));
            let found = found
                .into_iter()
                .find(|value| is_something(value) && !value.is_boolean());
            let inner = found.or(fields.get("errors")).map(message_in);
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

    fn read(name: &str, value: &Value) -> Option<String> {
        message(
            &Event {
                name: name.to_owned(),
                data: String::new(),
            },
            value,
        )
    }

    #[test]
    fn the_message_is_found_in_every_shape_of_error() {
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
                read(name, &event).as_deref(),
                Some("no memory"),
                "{name} {event}"
            );
        }
        let odd = json!({"error": {"status": 7}});
        assert_eq!(
            read("", &odd).as_deref(),
            Some(r#"{"status":7}"#),
            "an error without a message is shown whole"
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
            assert_eq!(read("", &event), None, "{event}");
        }
    }
}

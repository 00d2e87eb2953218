//! Which option helps, where an endpoint refuses a field that the probe sends.

use serde_json::{Map, Value};

/// Returns what to try, if the text of a refusal names a field of the body.
pub(crate) fn refused_field(detail: &str, body: &Map<String, Value>) -> Option<String> {
    let is_named = |field: &str| names(detail, field);
    // The field that is wanted instead is named beside the one that is not.
    for (ours, theirs) in [
        ("max_tokens", "max_completion_tokens"),
        ("max_completion_tokens", "max_tokens"),
    ] {
        if let Some(value) = body.get(ours).filter(|_| is_named(theirs)) {
            return Some(format!(
                "--unset {ours} --set {theirs}={value} sends the other field."
            ));
        }
    }
    let nested = body
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_object()?)));
    let nested = nested.flat_map(|(parent, fields)| {
        fields
            .keys()
            .map(move |name| (format!("{parent}.{name}"), name))
    });
    let mut fields: Vec<_> = body.keys().map(|name| (name.clone(), name)).collect();
    fields.extend(nested);
    // Without these there is nothing to answer.
    fields.retain(|(_, name)| !["model", "messages", "input", "system"].contains(&name.as_str()));
    let (path, _) = fields.into_iter().find(|(_, name)| is_named(name))?;
    Some(format!(
        "--unset {path} leaves the field out, and --set {path}=JSON changes it."
    ))
}

/// Whether a text names a field as a word of its own.
pub(crate) fn names(text: &str, field: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.any(|word| word == field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_option_that_helps_is_named() {
        let Value::Object(body) = json!({
            "model": "m", "messages": [], "stream": true, "stream_options": {"include_usage": true},
            "max_tokens": 8, "temperature": 0,
        }) else {
            unreachable!()
        };
        for (detail, expected) in [
            (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                Some("--unset max_tokens --set max_completion_tokens=8 sends the other field."),
            ),
            (
                r#"{"detail":[{"loc":["body","temperature"],"msg":"Extra inputs are not permitted"}]}"#,
                Some(
                    "--unset temperature leaves the field out, and --set temperature=JSON changes it.",
                ),
            ),
            (
                "unknown field `stream_options`",
                Some(
                    "--unset stream_options leaves the field out, and --set stream_options=JSON changes it.",
                ),
            ),
            (
                "include_usage is not allowed",
                Some(
                    "--unset stream_options.include_usage leaves the field out, and --set stream_options.include_usage=JSON changes it.",
                ),
            ),
            ("the model is upstream", None),
        ] {
            assert_eq!(
                refused_field(detail, &body).as_deref(),
                expected,
                "{detail}"
            );
        }
    }
}

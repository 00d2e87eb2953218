//! The option to try when an endpoint rejects a field that the probe sends.

use serde_json::{Map, Value};

/// Returns what to try, if the text of a rejection names a field of the body.
pub(crate) fn refused_field(detail: &str, body: &Map<String, Value>) -> Option<String> {
    let is_named = |field: &str| names(detail, field);
    // Such a rejection also names the field to use instead.
    for (ours, theirs) in [
        ("max_tokens", "max_completion_tokens"),
        ("max_completion_tokens", "max_tokens"),
    ] {
        if let Some(value) = body.get(ours).filter(|_| is_named(theirs)) {
            return Some(format!("Try --unset {ours} --set {theirs}={value}."));
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
    // No request works without these.
    fields.retain(|(_, name)| !["model", "messages", "input", "system"].contains(&name.as_str()));
    let (path, _) = fields.into_iter().find(|(_, name)| is_named(name))?;
    Some(format!(
        "Try --unset {path} to omit the field, or --set {path}=JSON to change it."
    ))
}

/// Whether a text contains a field's name as a whole word.
pub(crate) fn names(text: &str, field: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.any(|word| word == field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hint_names_the_option_for_the_rejected_field() {
        let Value::Object(body) = json!({
            "model": "m", "messages": [], "stream": true, "stream_options": {"include_usage": true},
            "max_tokens": 8, "temperature": 0,
        }) else {
            unreachable!()
        };
        for (detail, expected) in [
            (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                Some("Try --unset max_tokens --set max_completion_tokens=8."),
            ),
            (
                r#"{"detail":[{"loc":["body","temperature"],"msg":"Extra inputs are not permitted"}]}"#,
                Some(
                    "Try --unset temperature to omit the field, or --set temperature=JSON to change it.",
                ),
            ),
            (
                "unknown field `stream_options`",
                Some(
                    "Try --unset stream_options to omit the field, or --set stream_options=JSON to change it.",
                ),
            ),
            (
                "include_usage is not allowed",
                Some(
                    "Try --unset stream_options.include_usage to omit the field, or --set stream_options.include_usage=JSON to change it.",
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

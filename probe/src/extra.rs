//! The headers and fields that a user adds to the requests or removes from them.

use std::env;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Map, Value};

use crate::args::Args;
use crate::dialect::Dialect;
use crate::secret::Secrets;
use crate::variant::{Carrier, Variants};

/// Headers and fields from the command line. It has no `Debug`, since it holds credentials.
#[derive(Clone, Default)]
pub(crate) struct Extra {
    headers: Vec<(HeaderName, HeaderValue)>,
    unset: Vec<String>,
    set: Vec<(String, Value)>,
}

impl Extra {
    /// Reads `--header`, `--set` and `--unset`.
    ///
    /// # Errors
    ///
    /// If one of them is not valid. No message repeats a value, which may be a credential.
    pub(crate) fn new(
        args: &Args,
        dialect: &dyn Dialect,
        variants: &Variants,
        secrets: &mut Secrets,
    ) -> Result<Self, String> {
        let mut extra = Self {
            unset: args.unset.clone(),
            ..Self::default()
        };
        for text in &args.header {
            let (name, value) = named_header(text)?;
            if variants.carriers().contains(&Carrier::Header(name.clone())) {
                return Err(format!("--header {name}: the key is sent in this header"));
            }
            secrets.add_header(&value);
            let mut value = HeaderValue::try_from(value).map_err(|_| {
                format!("--header {name}: the value contains a character that is not allowed in a header")
            })?;
            value.set_sensitive(true);
            extra.headers.push((name, value));
        }
        for text in &args.set {
            let (field, value) = text
                .split_once('=')
                .ok_or("--set needs FIELD=JSON, such as --set top_k=1")?;
            let value = serde_json::from_str(value)
                .map_err(|_| format!("--set {field}: the value is not valid JSON; a string needs quotes: --set '{field}=\"text\"'"))?;
            extra.set.push((field.trim().to_owned(), value));
        }
        let fields = extra
            .unset
            .iter()
            .chain(extra.set.iter().map(|(field, _)| field));
        for field in fields {
            let top = field.split('.').next().unwrap_or_default();
            if dialect.conversation_fields().contains(&top) {
                return Err(format!(
                    "--set and --unset cannot change {top}, which holds the conversation"
                ));
            }
            if variants
                .carriers()
                .contains(&Carrier::BodyField(top.to_owned()))
            {
                return Err(format!(
                    "--set and --unset cannot change {top}, which holds the key"
                ));
            }
        }
        Ok(extra)
    }

    /// Adds the headers; they replace the API's own.
    pub(crate) fn head(&self, headers: &mut HeaderMap) {
        for (name, _) in &self.headers {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
    }

    /// Removes and sets the fields of a body.
    pub(crate) fn body(&self, body: &mut Map<String, Value>) {
        for field in &self.unset {
            if let Some((parent, name)) = parent(body, field, false) {
                parent.remove(name);
            }
        }
        for (field, value) in &self.set {
            if let Some((parent, name)) = parent(body, field, true) {
                parent.insert(name.to_owned(), value.clone());
            }
        }
    }
}

/// Returns the object that contains a field, and the field's name in it; `make` creates missing objects.
fn parent<'a, 'b>(
    body: &'a mut Map<String, Value>,
    field: &'b str,
    make: bool,
) -> Option<(&'a mut Map<String, Value>, &'b str)> {
    let Some((first, rest)) = field.split_once('.') else {
        return Some((body, field));
    };
    if make && !body.get(first).is_some_and(Value::is_object) {
        body.insert(first.to_owned(), Value::Object(Map::new()));
    }
    parent(body.get_mut(first)?.as_object_mut()?, rest, make)
}

fn named_header(text: &str) -> Result<(HeaderName, String), String> {
    let (name, value) = text.split_once(':').ok_or("--header needs 'Name: value'")?;
    let name: HeaderName = name
        .trim()
        .parse()
        .map_err(|_| "--header: the text before the colon is not a valid header name")?;
    let own = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::HOST,
        header::TRANSFER_ENCODING,
    ];
    if own.contains(&name) {
        return Err(format!(
            "--header {name}: the probe sets this header itself"
        ));
    }
    let value = expand(value.trim()).map_err(|variable| {
        format!(
            "--header {name}: the environment variable {variable} is not set, or is not valid UTF-8"
        )
    })?;
    Ok((name, value))
}

/// Replaces `${NAME}` with environment variables; the error is the name of a missing one.
fn expand(text: &str) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((variable, after)) = after.split_once('}') else {
            break;
        };
        let value = env::var(variable).map_err(|_| variable.to_owned())?;
        expanded += before;
        expanded += value.trim();
        rest = after;
    }
    Ok(expanded + rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edited(set: &[(&str, Value)], unset: &[&str]) -> Value {
        let extra = Extra {
            set: set
                .iter()
                .map(|(field, value)| ((*field).to_owned(), value.clone()))
                .collect(),
            unset: unset.iter().map(|field| (*field).to_owned()).collect(),
            ..Extra::default()
        };
        let Value::Object(mut body) = json!({"a": 1, "b": {"c": 2, "d": 3}}) else {
            unreachable!()
        };
        extra.body(&mut body);
        Value::Object(body)
    }

    #[test]
    fn fields_are_set_and_removed_also_in_nested_objects() {
        assert_eq!(edited(&[("a", json!("x"))], &["b"]), json!({"a": "x"}));
        assert_eq!(
            edited(&[("b.c", json!(9))], &["b.d"]),
            json!({"a": 1, "b": {"c": 9}})
        );
        assert_eq!(
            edited(&[("e.f.g", json!(true))], &["no.such"])["e"],
            json!({"f": {"g": true}})
        );
    }

    #[test]
    fn an_unset_variable_is_named_in_the_error_and_an_unclosed_brace_is_kept() {
        assert_eq!(
            expand("a ${NO_SUCH_VARIABLE_HERE}"),
            Err("NO_SUCH_VARIABLE_HERE".to_owned())
        );
        assert_eq!(expand("a ${b"), Ok("a ${b".to_owned()));
    }
}

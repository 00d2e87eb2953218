//! What a user adds to the requests, and takes out of them.

use std::env;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Map, Value};

use crate::args::Args;
use crate::dialect::Dialect;
use crate::secret::Secrets;
use crate::variant::{Carrier, Variants};

/// Headers and fields beyond those of the interface; it has no `Debug`, since it holds credentials.
#[derive(Clone, Default)]
pub(crate) struct Extra {
    headers: Vec<(HeaderName, HeaderValue)>,
    unset: Vec<String>,
    set: Vec<(String, Value)>,
}

impl Extra {
    /// Reads `--header`, `--set` and `--unset`; no error repeats a value.
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
                return Err(format!("--header {name}: the key has this name"));
            }
            secrets.add_header(&value);
            let mut value = HeaderValue::try_from(value).map_err(|_| {
                format!("--header {name}: its value holds a character that no header has")
            })?;
            value.set_sensitive(true);
            extra.headers.push((name, value));
        }
        for text in &args.set {
            let (field, value) = text.split_once('=').ok_or("--set takes FIELD=JSON")?;
            let value = serde_json::from_str(value)
                .map_err(|_| format!("--set {field}: its value is not JSON; a text has quotes: --set '{field}=\"text\"'"))?;
            extra.set.push((field.trim().to_owned(), value));
        }
        let fields = extra
            .unset
            .iter()
            .chain(extra.set.iter().map(|(field, _)| field));
        for field in fields {
            let top = field.split('.').next().unwrap_or_default();
            if dialect.conversation_fields().contains(&top) {
                return Err(format!("--set and --unset: {top} holds the conversation"));
            }
            if variants
                .carriers()
                .contains(&Carrier::BodyField(top.to_owned()))
            {
                return Err(format!("--set and --unset: {top} holds the key"));
            }
        }
        Ok(extra)
    }

    /// Adds the headers; they replace those of the interface.
    pub(crate) fn head(&self, headers: &mut HeaderMap) {
        for (name, _) in &self.headers {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
    }

    /// Takes fields out of a body, and sets others.
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

/// Finds the object that a field is in, and its name there; missing objects are made, if they should be.
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
    let (name, value) = text.split_once(':').ok_or("--header takes 'Name: value'")?;
    let name: HeaderName = name
        .trim()
        .parse()
        .map_err(|_| "--header: its name is not one of a header")?;
    let own = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::HOST,
        header::TRANSFER_ENCODING,
    ];
    if own.contains(&name) {
        return Err(format!(
            "--header {name}: the requests need this header for something else"
        ));
    }
    let value = expand(value.trim()).map_err(|variable| {
        format!("--header {name}: the environment variable {variable} is not set, or is not text")
    })?;
    Ok((name, value))
}

/// Puts variables of the environment in the place of `${NAME}`; the error is the name of a missing one.
fn expand(text: &str) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        let Some((variable, behind)) = behind.split_once('}') else {
            break;
        };
        let value = env::var(variable).map_err(|_| variable.to_owned())?;
        expanded += before;
        expanded += value.trim();
        rest = behind;
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
    fn fields_are_set_and_left_out_also_inside_of_objects() {
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
    fn a_variable_that_is_not_set_is_named_and_a_brace_without_its_other_half_stays() {
        assert_eq!(
            expand("a ${NO_SUCH_VARIABLE_HERE}"),
            Err("NO_SUCH_VARIABLE_HERE".to_owned())
        );
        assert_eq!(expand("a ${b"), Ok("a ${b".to_owned()));
    }
}

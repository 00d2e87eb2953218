//! The member that is written into an object, and the spaces that replace it.

use bytes::Bytes;

use super::scanner::WithoutField;

/// `,"prompt_cache_key":"chat-7"`, as bytes that become a frame without a copy.
#[derive(Clone)]
pub(super) struct Member {
    text: String,
    field: usize,
}

/// The length of what precedes the field's name: a comma and a quote.
const BEFORE: usize = 2;

impl Member {
    /// Makes the member. The name never needs escapes, but the value may.
    pub(super) fn new(field: &str, value: &str) -> Self {
        let escapes = value.chars().filter(|char| is_escaped(*char)).count();
        let mut text = String::with_capacity(field.len() + value.len() + escapes + 6);
        text.push_str(",\"");
        text.push_str(field);
        text.push_str("\":\"");
        for char in value.chars() {
            if is_escaped(char) {
                text.push('\\');
            }
            text.push(char);
        }
        text.push('"');
        Self {
            text,
            field: field.len(),
        }
    }

    /// Returns the name of the field.
    pub(super) fn field(&self) -> &str {
        &self.text[BEFORE..BEFORE + self.field]
    }

    /// Returns by how many bytes a body grows.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Returns what is written before the closing brace of this object.
    pub(super) fn into_bytes(self, object: WithoutField) -> Bytes {
        let mut text = self.text.into_bytes();
        if object.is_empty {
            text[0] = b' ';
        }
        text.into()
    }

    /// Returns as many spaces as the member has bytes.
    pub(super) fn into_padding(self) -> Bytes {
        let mut text = self.text.into_bytes();
        text.fill(b' ');
        text.into()
    }
}

const fn is_escaped(char: char) -> bool {
    matches!(char, '"' | '\\')
}

//! The API key, which is sent and never shown.

use std::env::{self, VarError};

use http::HeaderValue;

/// What an API key is replaced by.
const MASK: &str = "[api key]";

/// An API key, or none; it has no `Debug` and no `Display`.
pub(crate) struct ApiKey(Option<String>);

impl ApiKey {
    pub(crate) const NONE: Self = Self(None);

    /// Reads the key from an environment variable, or says in a sentence what is wrong with it.
    ///
    /// The name is not repeated: it may be the key itself, given in the wrong place.
    pub(crate) fn from_env(variable: &str) -> Result<Self, &'static str> {
        let key = env::var(variable).map_err(|error| match error {
            VarError::NotPresent => {
                "the environment variable that --api-key-env names is not set\n\
                 --api-key-env takes the name of a variable, and not the key itself."
            }
            VarError::NotUnicode(_) => {
                "the environment variable that --api-key-env names is no text"
            }
        })?;
        let key = key.trim();
        if key.is_empty() {
            return Err("the environment variable that --api-key-env names is empty");
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "the environment variable that --api-key-env names holds a character that no API key has",
            );
        }
        Ok(Self(Some(key.to_owned())))
    }

    /// Returns the value of the `authorization` header.
    pub(crate) fn bearer(&self) -> Option<HeaderValue> {
        let key = self.0.as_ref()?;
        let mut value = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Makes bytes from outside fit to be shown: no key, no control characters, at most `max` characters.
    pub(crate) fn clean(&self, bytes: &[u8], max: usize) -> String {
        let text = String::from_utf8_lossy(bytes);
        let text = self.0.as_ref().map_or_else(
            || text.to_string(),
            // JSON may escape the slashes of a key.
            |key| {
                text.replace(key, MASK)
                    .replace(&key.replace('/', "\\/"), MASK)
            },
        );
        let text = text.replace(char::is_control, " ");
        let text = text.trim();
        let mut clean: String = text.chars().take(max).collect();
        if clean.len() < text.len() {
            clean.push('…');
        }
        clean
    }

    /// Returns how many bytes more than it shows a reader must have, so that no part of a key is left.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, String::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        ApiKey(Some("sk-se/cret".to_owned()))
    }

    #[test]
    fn the_key_is_masked_plain_and_as_json_escapes_it() {
        let echoed = br#"{"error":"no such key: sk-se/cret","also":"sk-se\/cret"}"#;
        let expected = r#"{"error":"no such key: [api key]","also":"[api key]"}"#;
        assert_eq!(key().clean(echoed, 100), expected);
    }

    #[test]
    fn a_key_that_is_cut_off_by_the_limit_was_masked_before() {
        assert_eq!(key().clean(b"12345sk-se/cret", 8), "12345[ap…");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(ApiKey::NONE.clean(b"\x1b[31mred\r\n\n", 100), "[31mred");
    }

    #[test]
    fn the_header_is_marked_as_sensitive() {
        assert!(key().bearer().is_some_and(|value| value.is_sensitive()));
    }
}

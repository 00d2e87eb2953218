//! Secrets that are sent and never shown: the API key, the values of `--header`, and the query of `--url`.

mod mask;
mod visible;

use std::env::{self, VarError};

use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;

pub(crate) use visible::visible;

/// The shortest value that is masked. Shorter ones are not secrets, and would match ordinary words.
const SHORTEST: usize = 4;

/// The most bytes of a text from the endpoint that are read.
pub(crate) const LONGEST: usize = 1 << 14;

/// Query parameters that are settings, not secrets.
const SETTINGS: [&str; 3] = ["api-version", "api_version", "version"];

/// An API key, if there is one. It has neither `Debug` nor `Display`.
#[derive(Clone)]
pub(crate) struct ApiKey(Option<String>);

/// The secrets, each with the text that is shown instead.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<(String, &'static str)>);

impl ApiKey {
    pub(crate) const NONE: Self = Self(None);

    /// Reads the key from an environment variable.
    ///
    /// # Errors
    ///
    /// If the variable has no valid key. The message does not repeat the name of the variable, which may be
    /// the key itself, passed by mistake.
    pub(crate) fn from_env(variable: &str) -> Result<Self, &'static str> {
        let key = env::var(variable).map_err(|error| match error {
            VarError::NotPresent => {
                "the environment variable named by --api-key-env is not set\n\
                 --api-key-env takes the name of a variable, not the key itself."
            }
            VarError::NotUnicode(_) => {
                "the environment variable named by --api-key-env is not valid UTF-8"
            }
        })?;
        let key = key.trim();
        if key.is_empty() {
            return Err("the environment variable named by --api-key-env is empty");
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "the environment variable named by --api-key-env contains a character that is not valid in an API key",
            );
        }
        Ok(Self(Some(key.to_owned())))
    }

    /// Returns the key with a prefix such as `Bearer `, as a header value.
    pub(crate) fn header_value(&self, prefix: &str) -> Option<HeaderValue> {
        let key = self.0.as_ref()?;
        let mut value = HeaderValue::try_from(format!("{prefix}{key}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Secrets {
    pub(crate) fn add_key(&mut self, key: &ApiKey) {
        if let Some(key) = &key.0 {
            self.0.push((key.clone(), "[api key]"));
        }
    }

    /// Adds the value of a header, without its scheme, such as `Bearer`.
    pub(crate) fn add_header(&mut self, value: &str) {
        let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphabetic());
        let credential = value.split_once(' ').filter(|(scheme, _)| is_word(scheme));
        let parts = credential
            .map_or(value, |(_, credential)| credential)
            .split_ascii_whitespace();
        let parts = parts.filter(|part| part.len() >= SHORTEST);
        self.0
            .extend(parts.map(|part| (part.to_owned(), "[header]")));
    }

    /// Adds the values of an address's query, both raw and percent-decoded.
    pub(crate) fn add_query(&mut self, endpoint: &Uri) {
        let Some(query) = endpoint.query() else {
            return;
        };
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or(("", parameter));
            let decoded = percent_decode_str(value).decode_utf8_lossy().into_owned();
            let is_setting = SETTINGS.contains(&name.to_ascii_lowercase().as_str());
            if !is_setting && !["true", "false"].contains(&value) {
                let both = [value.to_owned(), decoded];
                let both = both.into_iter().filter(|value| value.len() >= SHORTEST);
                self.0.extend(both.map(|value| (value, "[query]")));
            }
        }
    }

    /// Returns bytes from the endpoint as text that is safe to print: secrets masked, no control
    /// characters, and at most `max` characters.
    pub(crate) fn clean(&self, bytes: &[u8], max: usize) -> String {
        // A secret that is cut off here lies beyond what is shown, and parts of secrets are masked too.
        let bytes = &bytes[..bytes.len().min(LONGEST)];
        let text = mask::mask(&String::from_utf8_lossy(bytes), &self.0);
        let text = visible(&text);
        let text = text.trim();
        let mut clean: String = text.chars().take(max).collect();
        if clean.len() < text.len() {
            clean.push('…');
        }
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(secret: &str) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add_key(&ApiKey(Some(secret.to_owned())));
        secrets
    }

    #[test]
    fn a_key_is_masked_before_the_text_is_cut() {
        assert_eq!(
            secrets("sk-se/cret").clean(b"12345sk-se/cret", 8),
            "12345[ap…"
        );
    }

    #[test]
    fn the_header_is_marked_as_sensitive() {
        let key = ApiKey(Some("sk-secret".to_owned()));
        assert!(
            key.header_value("Bearer ")
                .is_some_and(|value| value.is_sensitive())
        );
    }

    #[test]
    fn values_of_the_query_are_masked_except_settings() {
        let mut secrets = Secrets::default();
        let uri = "http://h/p?api-version=2024-02-01&key=s3cret%2Fvalue&beta=true";
        secrets.add_query(&Uri::from_static(uri));
        for (text, expected) in [
            (
                "no route /p?api-version=2024-02-01&key=s3cret%2Fvalue&beta=true",
                "no route /p?api-version=2024-02-01&key=[query]&beta=true",
            ),
            ("bad key s3cret/value", "bad key [query]"),
            (
                "api-version 2024-02-01 is not true",
                "api-version 2024-02-01 is not true",
            ),
        ] {
            assert_eq!(secrets.clean(text.as_bytes(), 100), expected);
        }
    }

    #[test]
    fn the_credential_in_a_header_is_masked_with_and_without_its_scheme() {
        let mut secrets = Secrets::default();
        secrets.add_header("Bearer 0123456789");
        assert_eq!(
            secrets.clean(b"Bearer 0123456789, 0123456789", 100),
            "Bearer [header], [header]"
        );
    }
}

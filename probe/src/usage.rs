//! The token counts that an endpoint reports, in any place and under any known name.

mod names;

use http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value};

use names::{CACHED, EXCLUDED, MISSED, OUTPUT, PROMPT, TOTAL, WRITTEN};

/// Headers of Fireworks, on dedicated deployments.
const CACHED_HEADER: &str = "fireworks-cached-prompt-tokens";
const PROMPT_HEADER: &str = "fireworks-prompt-tokens";

/// How deep an event is searched for token counts; Moonshot's are at depth three.
const DEEPEST: usize = 6;

/// The token counts of one request, as the endpoint reported them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) cached_tokens: Option<u64>,
    /// The field or header that reported the cached tokens.
    pub(crate) cached_tokens_from: Option<String>,
    /// Tokens that were written to the cache, if reported.
    pub(crate) written_tokens: Option<u64>,
    /// llama.cpp: the cached prompt tokens.
    pub(crate) cache_n: Option<u64>,
    /// llama.cpp: the computed prompt tokens.
    pub(crate) prompt_n: Option<u64>,
    #[serde(skip)]
    pub(crate) output_tokens: Option<u64>,
    #[serde(skip)]
    pub(crate) total_tokens: Option<u64>,
    /// The names say that the prompt tokens exclude the cached tokens.
    #[serde(skip)]
    pub(crate) excludes_cached: bool,
    /// The counts come from headers, not from the body.
    #[serde(skip)]
    pub(crate) is_of_headers: bool,
}

impl Usage {
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let number = |name| headers.get(name)?.to_str().ok()?.trim().parse().ok();
        let cached_tokens = number(CACHED_HEADER);
        Self {
            prompt_tokens: number(PROMPT_HEADER),
            cached_tokens,
            cached_tokens_from: cached_tokens.map(|_| CACHED_HEADER.to_owned()),
            is_of_headers: true,
            ..Self::default()
        }
    }

    /// Adds the counts of an event; the body takes precedence over the headers.
    pub(crate) fn update(&mut self, event: &Value) {
        let mut found = Vec::new();
        find(event, "", 0, &mut found);
        // The most complete first, and among those the one nearest to the root.
        found.sort_by_key(|usage| {
            usize::from(usage.prompt_tokens.is_none()) + usize::from(usage.cached_tokens.is_none())
        });
        let Some(reported) = found.into_iter().reduce(Self::or) else {
            return;
        };
        if std::mem::take(&mut self.is_of_headers) {
            *self = reported.or(std::mem::take(self));
        } else {
            self.add(reported);
        }
    }

    /// Fills in missing counts.
    fn or(self, other: Self) -> Self {
        let excludes_cached =
            self.excludes_cached || (self.cached_tokens.is_none() && other.excludes_cached);
        let from = self
            .cached_tokens
            .map_or(other.cached_tokens_from, |_| self.cached_tokens_from);
        Self {
            prompt_tokens: self.prompt_tokens.or(other.prompt_tokens),
            cached_tokens: self.cached_tokens.or(other.cached_tokens),
            cached_tokens_from: from,
            written_tokens: self.written_tokens.or(other.written_tokens),
            cache_n: self.cache_n.or(other.cache_n),
            prompt_n: self.prompt_n.or(other.prompt_n),
            output_tokens: self.output_tokens.or(other.output_tokens),
            total_tokens: self.total_tokens.or(other.total_tokens),
            excludes_cached,
            is_of_headers: false,
        }
    }

    /// Keeps the larger of each count: some endpoints begin with zeros, and some end with them.
    fn add(&mut self, reported: Self) {
        let more_cached = reported.cached_tokens > self.cached_tokens;
        if more_cached || self.cached_tokens_from.is_none() {
            self.cached_tokens_from = reported.cached_tokens_from;
        }
        self.excludes_cached |= reported.excludes_cached;
        for (ours, theirs) in [
            (&mut self.prompt_tokens, reported.prompt_tokens),
            (&mut self.cached_tokens, reported.cached_tokens),
            (&mut self.written_tokens, reported.written_tokens),
            (&mut self.cache_n, reported.cache_n),
            (&mut self.prompt_n, reported.prompt_n),
            (&mut self.output_tokens, reported.output_tokens),
            (&mut self.total_tokens, reported.total_tokens),
        ] {
            *ours = theirs.max(*ours);
        }
    }

    /// Reads the counts of an object, if it has any.
    fn of(object: &Map<String, Value>, path: &str) -> Option<Self> {
        let names: Vec<_> = fields(object);
        let of = |wanted: &[&str]| pick(&names, wanted).map(|(_, number)| number);
        let cached = pick(&names, &CACHED);
        let prompt = pick(&names, &PROMPT);
        let prompt_n = pick(&names, &["promptn"]).map(|(_, number)| number);
        let cache_n = cached
            .as_ref()
            .filter(|(name, _)| name.ends_with("cache_n"));
        let cache_n = cache_n.map(|(_, number)| *number);
        let missed = of(&MISSED).zip(cached.as_ref().map(|(_, number)| *number));
        let computed = prompt_n.map(|computed| (computed, cache_n.unwrap_or_default()));
        let added = |(one, other): (u64, u64)| one.saturating_add(other);
        let excludes_cached = cached
            .as_ref()
            .is_some_and(|(name, _)| EXCLUDED.contains(&plain(name).as_str()))
            && prompt
                .as_ref()
                .is_some_and(|(name, _)| plain(name).starts_with("input"));
        let excludes_cached = excludes_cached
            || prompt
                .as_ref()
                .is_some_and(|(name, _)| plain(name).starts_with("uncached"));
        let usage = Self {
            prompt_tokens: prompt
                .map(|(_, number)| number)
                .or(missed.map(added))
                .or(computed.map(added)),
            cached_tokens: cached.as_ref().map(|(_, number)| *number),
            cached_tokens_from: cached.map(|(name, _)| format!("{path}/{name}")),
            written_tokens: of(&WRITTEN),
            cache_n,
            prompt_n,
            output_tokens: of(&OUTPUT),
            total_tokens: of(&TOTAL),
            excludes_cached,
            is_of_headers: false,
        };
        (usage.prompt_tokens.is_some() || usage.cached_tokens.is_some()).then_some(usage)
    }
}

fn find(value: &Value, path: &str, depth: usize, found: &mut Vec<Usage>) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::Object(object) => {
            found.extend(Usage::of(object, path));
            for (name, value) in object {
                // Details belong to the counts around them.
                if value.is_object() && !is_details(name) || value.is_array() {
                    find(value, &format!("{path}/{name}"), depth + 1, found);
                }
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate().take(4) {
                find(value, &format!("{path}/{index}"), depth + 1, found);
            }
        }
        _ => {}
    }
}

/// Returns the numbers of an object by name, with those in its details first.
fn fields(object: &Map<String, Value>) -> Vec<(String, u64)> {
    let numbers = |prefix: String, object: &Map<String, Value>| {
        let named =
            |(name, value): (&String, &Value)| Some((format!("{prefix}{name}"), number(value)?));
        object.iter().filter_map(named).collect::<Vec<_>>()
    };
    // `completion_tokens_details` uses the same names for tokens of the answer.
    let of_prompt = |name: &str| {
        !["completion", "output"]
            .iter()
            .any(|other| plain(name).starts_with(other))
    };
    let details = object
        .iter()
        .filter(|(name, _)| is_details(name) && of_prompt(name));
    let details = details.filter_map(|(name, value)| Some((name, value.as_object()?)));
    let mut fields: Vec<_> = details
        .flat_map(|(name, value)| numbers(format!("{name}/"), value))
        .collect();
    fields.extend(numbers(String::new(), object));
    fields
}

fn is_details(name: &str) -> bool {
    plain(name).ends_with("details")
}

/// Returns the first of these fields that is above zero, or else the first one present.
fn pick(fields: &[(String, u64)], wanted: &[&str]) -> Option<(String, u64)> {
    let of = |wanted: &&str| {
        let named = |(name, _): &&(String, u64)| {
            let last = name.rsplit('/').next().unwrap_or_default();
            plain(last) == *wanted
        };
        fields.iter().filter(named).cloned().collect::<Vec<_>>()
    };
    let candidates: Vec<_> = wanted.iter().flat_map(of).collect();
    let above_zero = candidates.iter().find(|(_, number)| *number > 0);
    above_zero.or(candidates.first()).cloned()
}

fn plain(name: &str) -> String {
    let letters = name.rsplit('/').next().unwrap_or_default().chars();
    letters
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Reads a count; some endpoints send it as a float or a string.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative, and the cast saturates"
)]
fn whole(number: f64) -> Option<u64> {
    (number.is_finite() && number >= 0.0).then(|| number.round() as u64)
}

#[cfg(test)]
mod tests;

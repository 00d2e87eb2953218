//! What an endpoint reports of the tokens of a prompt, wherever and under whichever name.

use http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value};

/// Fireworks, on dedicated deployments.
const CACHED_HEADER: &str = "fireworks-cached-prompt-tokens";
const PROMPT_HEADER: &str = "fireworks-prompt-tokens";

/// How deep a usage is looked for; Moonshot's is at three.
const DEEPEST: usize = 6;

// The names of the fields, in lower case and without `_` and `-`, the most common first.
const PROMPT: [&str; 8] = [
    "prompttokens",
    "inputtokens",
    "prompttokencount",
    "inputtokencount",
    "promptevalcount",
    "uncachedinputtokens",
    "numprompttokens",
    "numinputtokens",
];
const CACHED: [&str; 20] = [
    "cachedtokens",
    "promptcachehittokens",
    "cachedprompttokens",
    "promptcachedtokens",
    "cachedinputtokens",
    "inputcachedtokens",
    "cachedcontenttokencount",
    "promptevalcachedcount",
    "cachereadinputtokens",
    "cachereadinputtokencount",
    "cachereadtokens",
    "cachehittokens",
    "numcachedtokens",
    "cachedtokencount",
    "nativetokenscached",
    "cachetokens",
    "cacheread",
    "cachehit",
    "cachedinputtokencount",
    "cachen",
];
const WRITTEN: [&str; 7] = [
    "cachecreationinputtokens",
    "cachewriteinputtokens",
    "cachewriteinputtokencount",
    "cachecreationtokens",
    "cachewritetokens",
    "cachecreation",
    "cachewrite",
];
const MISSED: [&str; 2] = ["promptcachemisstokens", "cachemisstokens"];
const OUTPUT: [&str; 5] = [
    "completiontokens",
    "outputtokens",
    "candidatestokencount",
    "outputtokencount",
    "evalcount",
];
const TOTAL: [&str; 2] = ["totaltokens", "totaltokencount"];

/// Names that come with a prompt count that leaves out what came from the cache: Anthropic, Bedrock.
const APART: [&str; 2] = ["cachereadinputtokens", "cachereadinputtokencount"];

/// What became known of the prompt of one request, as it was reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) cached_tokens: Option<u64>,
    /// The field or header that told it.
    pub(crate) cached_tokens_from: Option<String>,
    /// Tokens that were written to the cache, where these are reported.
    pub(crate) written_tokens: Option<u64>,
    /// llama.cpp: the prompt tokens that were reused.
    pub(crate) cache_n: Option<u64>,
    /// llama.cpp: the prompt tokens that were computed.
    pub(crate) prompt_n: Option<u64>,
    #[serde(skip)]
    pub(crate) output_tokens: Option<u64>,
    #[serde(skip)]
    pub(crate) total_tokens: Option<u64>,
    /// The names say that the cached tokens are not a part of the prompt's.
    #[serde(skip)]
    pub(crate) is_apart: bool,
    /// The headers told it, and not the body.
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

    /// Takes over what an event says; the body outranks the headers.
    pub(crate) fn update(&mut self, event: &Value) {
        let mut found = Vec::new();
        find(event, "", 0, &mut found);
        // The fullest first, and of these the one nearest to the root.
        found.sort_by_key(|usage| {
            usize::from(usage.prompt_tokens.is_none()) + usize::from(usage.cached_tokens.is_none())
        });
        let Some(told) = found.into_iter().reduce(Self::or) else {
            return;
        };
        if std::mem::take(&mut self.is_of_headers) {
            *self = told.or(std::mem::take(self));
        } else {
            self.add(told);
        }
    }

    /// Fills in what is missing.
    fn or(self, other: Self) -> Self {
        let is_apart = self.is_apart || (self.cached_tokens.is_none() && other.is_apart);
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
            is_apart,
            is_of_headers: false,
        }
    }

    /// Counts only grow in the course of an answer: some endpoints begin with zeros, some end with them.
    fn add(&mut self, told: Self) {
        let more_cached = told.cached_tokens > self.cached_tokens;
        if more_cached || self.cached_tokens_from.is_none() {
            self.cached_tokens_from = told.cached_tokens_from;
        }
        self.is_apart |= told.is_apart;
        for (ours, theirs) in [
            (&mut self.prompt_tokens, told.prompt_tokens),
            (&mut self.cached_tokens, told.cached_tokens),
            (&mut self.written_tokens, told.written_tokens),
            (&mut self.cache_n, told.cache_n),
            (&mut self.prompt_n, told.prompt_n),
            (&mut self.output_tokens, told.output_tokens),
            (&mut self.total_tokens, told.total_tokens),
        ] {
            *ours = theirs.max(*ours);
        }
    }

    /// Reads an object that may be a usage.
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
        let is_apart = cached
            .as_ref()
            .is_some_and(|(name, _)| APART.contains(&plain(name).as_str()))
            && prompt
                .as_ref()
                .is_some_and(|(name, _)| plain(name).starts_with("input"));
        let is_apart = is_apart
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
            is_apart,
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
                // Its details belong to the usage around them.
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

/// Returns the numbers of an object by name, those inside of its details first.
fn fields(object: &Map<String, Value>) -> Vec<(String, u64)> {
    let numbers = |prefix: String, object: &Map<String, Value>| {
        let named =
            |(name, value): (&String, &Value)| Some((format!("{prefix}{name}"), number(value)?));
        object.iter().filter_map(named).collect::<Vec<_>>()
    };
    // `completion_tokens_details` has the same names for what is not a part of the prompt.
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

/// Returns the first of these fields that is above zero, or else the first that is there.
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

/// Reads a count, which some endpoints send as a float or as text.
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
    reason = "it is not negative, and what is too large becomes the largest"
)]
fn whole(number: f64) -> Option<u64> {
    (number.is_finite() && number >= 0.0).then(|| number.round() as u64)
}

#[cfg(test)]
mod tests;

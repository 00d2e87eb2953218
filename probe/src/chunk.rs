//! What an endpoint says in its chunks and headers.

use http::HeaderMap;
use serde::Serialize;
use serde_json::Value;

/// Where a chunk tells how many prompt tokens came from the cache, and in whose dialect.
const CACHED: [&str; 4] = [
    "/usage/prompt_tokens_details/cached_tokens", // OpenAI, vLLM, SGLang, llama.cpp, …
    "/usage/cached_tokens",                       // Moonshot
    "/usage/prompt_cache_hit_tokens",             // DeepSeek
    "/timings/cache_n",                           // llama.cpp
];

/// Fireworks, on dedicated deployments.
const CACHED_HEADER: &str = "fireworks-cached-prompt-tokens";
const PROMPT_HEADER: &str = "fireworks-prompt-tokens";

/// What became known of the prompt of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) cached_tokens: Option<u64>,
    /// The field or header that told it.
    pub(crate) cached_tokens_from: Option<&'static str>,
    /// llama.cpp: the prompt tokens that were reused.
    pub(crate) cache_n: Option<u64>,
    /// llama.cpp: the prompt tokens that were computed.
    pub(crate) prompt_n: Option<u64>,
}

/// One chunk of a streamed answer.
#[derive(Debug)]
pub(crate) struct Chunk(Value);

impl Usage {
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let number = |name| headers.get(name)?.to_str().ok()?.trim().parse().ok();
        let cached_tokens = number(CACHED_HEADER);
        Self {
            prompt_tokens: number(PROMPT_HEADER),
            cached_tokens,
            cached_tokens_from: cached_tokens.map(|_| CACHED_HEADER),
            ..Self::default()
        }
    }

    /// Takes over what a chunk says; the body outranks the headers.
    pub(crate) fn update(&mut self, chunk: &Chunk) {
        let number = |pointer| chunk.0.pointer(pointer).and_then(Value::as_u64);
        self.cache_n = number("/timings/cache_n").or(self.cache_n);
        self.prompt_n = number("/timings/prompt_n").or(self.prompt_n);
        let all = |(cached, computed)| cached + computed;
        self.prompt_tokens = number("/usage/prompt_tokens")
            .or(self.prompt_tokens)
            .or(self.cache_n.zip(self.prompt_n).map(all));
        if let Some((from, cached)) = CACHED.iter().find_map(|from| Some((*from, number(from)?))) {
            self.cached_tokens = Some(cached);
            self.cached_tokens_from = Some(from);
        }
    }
}

impl Chunk {
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        serde_json::from_slice(data)
            .ok()
            .filter(Value::is_object)
            .map(Self)
    }

    /// Whether it holds a piece of the answer, or of the thoughts before it.
    pub(crate) fn has_token(&self) -> bool {
        let pieces = ["content", "reasoning_content", "reasoning"];
        pieces.iter().any(|name| !self.delta(name).is_empty())
    }

    /// Returns the piece of the answer.
    pub(crate) fn content(&self) -> &str {
        self.delta("content")
    }

    /// Whether it says that the answer is over.
    pub(crate) fn is_last(&self) -> bool {
        self.0
            .pointer("/choices/0/finish_reason")
            .is_some_and(Value::is_string)
    }

    /// Returns the error that it holds instead of an answer.
    pub(crate) fn error(&self) -> Option<String> {
        let error = self.0.get("error").filter(|error| !error.is_null())?;
        let message = error.get("message").and_then(Value::as_str);
        Some(message.map_or_else(|| error.to_string(), str::to_owned))
    }

    fn delta(&self, name: &str) -> &str {
        let delta = self
            .0
            .pointer("/choices/0/delta")
            .and_then(|delta| delta.get(name));
        delta.and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn chunk(json: &str) -> Chunk {
        Chunk::parse(json.as_bytes()).expect("a chunk")
    }

    fn usage(chunks: &[&str]) -> (Option<u64>, Option<u64>, Option<&'static str>) {
        let mut usage = Usage::default();
        for json in chunks {
            usage.update(&chunk(json));
        }
        (
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.cached_tokens_from,
        )
    }

    #[test]
    fn each_dialect_of_cached_tokens_is_read() {
        for (json, from) in [
            (
                r#"{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":5}}}"#,
                CACHED[0],
            ),
            (
                r#"{"usage":{"prompt_tokens":9,"cached_tokens":5}}"#,
                CACHED[1],
            ),
            (
                r#"{"usage":{"prompt_tokens":9,"prompt_cache_hit_tokens":5}}"#,
                CACHED[2],
            ),
            (r#"{"timings":{"cache_n":5,"prompt_n":4}}"#, CACHED[3]),
        ] {
            assert_eq!(usage(&[json]), (Some(9), Some(5), Some(from)));
        }
    }

    #[test]
    fn the_usage_of_a_null_or_of_no_usage_is_unknown_and_not_zero() {
        assert_eq!(
            usage(&[r#"{"usage":null,"choices":[]}"#]),
            (None, None, None)
        );
        let json = r#"{"usage":{"prompt_tokens":9,"prompt_tokens_details":null}}"#;
        assert_eq!(usage(&[json]), (Some(9), None, None));
    }

    #[test]
    fn a_later_chunk_without_usage_takes_nothing_away() {
        let json = r#"{"usage":{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":5}}}"#;
        assert_eq!(
            usage(&[json, r#"{"choices":[]}"#]),
            (Some(9), Some(5), Some(CACHED[0]))
        );
    }

    #[test]
    fn the_headers_of_fireworks_are_read_and_the_body_outranks_them() {
        let headers = [
            ("fireworks-prompt-tokens", "90"),
            ("fireworks-cached-prompt-tokens", "50"),
        ];
        let headers = headers.map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        let mut usage = Usage::from_headers(&HeaderMap::from_iter(headers));
        assert_eq!(
            (usage.prompt_tokens, usage.cached_tokens),
            (Some(90), Some(50))
        );
        assert_eq!(usage.cached_tokens_from, Some(CACHED_HEADER));

        usage.update(&chunk(
            r#"{"usage":{"prompt_tokens":91,"prompt_tokens_details":{"cached_tokens":64}}}"#,
        ));
        assert_eq!(
            (usage.prompt_tokens, usage.cached_tokens),
            (Some(91), Some(64))
        );
    }

    #[test]
    fn an_empty_piece_is_no_token_and_a_thought_is_one() {
        assert!(!chunk(r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#).has_token());
        assert!(chunk(r#"{"choices":[{"delta":{"content":"Yes"}}]}"#).has_token());
        assert!(chunk(r#"{"choices":[{"delta":{"reasoning_content":"Hm"}}]}"#).has_token());
        assert!(chunk(r#"{"choices":[{"delta":{"reasoning":"Hm"}}]}"#).has_token());
    }

    #[test]
    fn an_error_inside_of_the_stream_is_seen() {
        let error = chunk(r#"{"error":{"message":"out of memory","code":500}}"#).error();
        assert_eq!(error.as_deref(), Some("out of memory"));
        assert_eq!(chunk(r#"{"error":null}"#).error(), None);
    }
}

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::*;

fn reported(events: &[Value]) -> Usage {
    let mut usage = Usage::default();
    for event in events {
        usage.update(event);
    }
    usage
}

#[test]
fn cached_tokens_are_read_in_every_place_and_under_every_name() {
    for (event, from) in [
        (
            json!({"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 5}}}),
            "/usage/prompt_tokens_details/cached_tokens",
        ),
        (
            json!({"usage": {"prompt_tokens": 9, "cached_tokens": 5}}),
            "/usage/cached_tokens",
        ),
        (
            json!({"choices": [{"delta": {}, "usage": {"prompt_tokens": 9, "cached_tokens": 5}}]}),
            "/choices/0/usage/cached_tokens",
        ),
        (
            json!({"x_groq": {"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 5}}}}),
            "/x_groq/usage/prompt_tokens_details/cached_tokens",
        ),
        (
            json!({"usage": {"prompt_cache_hit_tokens": 5, "prompt_cache_miss_tokens": 4}}),
            "/usage/prompt_cache_hit_tokens",
        ),
        (
            json!({"timings": {"cache_n": 5, "prompt_n": 4}}),
            "/timings/cache_n",
        ),
        (
            json!({"response": {"usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 5}}}}),
            "/response/usage/input_tokens_details/cached_tokens",
        ),
        (
            json!({"usageMetadata": {"promptTokenCount": 9, "cachedContentTokenCount": 5}}),
            "/usageMetadata/cachedContentTokenCount",
        ),
        (
            json!({"done": true, "prompt_eval_count": 9, "prompt_eval_cached_count": 5}),
            "/prompt_eval_cached_count",
        ),
        (
            json!({"usage": {"promptTokens": 9, "cachedInputTokens": "5"}}),
            "/usage/cachedInputTokens",
        ),
    ] {
        let usage = reported(&[event]);
        assert_eq!(
            (usage.prompt_tokens, usage.cached_tokens),
            (Some(9), Some(5)),
            "{from}"
        );
        assert_eq!(usage.cached_tokens_from.as_deref(), Some(from));
        assert!(!usage.excludes_cached, "{from}");
    }
}

#[test]
fn the_names_of_anthropic_and_bedrock_exclude_cached_tokens_from_the_prompt() {
    for event in [
        json!({"message": {"usage": {"input_tokens": 9, "cache_read_input_tokens": 5}}}),
        json!({"usage": {"inputTokens": 9, "cacheReadInputTokens": 5, "cacheWriteInputTokens": 1}}),
        json!({"amazon-bedrock-invocationMetrics": {"inputTokenCount": 9, "cacheReadInputTokenCount": 5}}),
    ] {
        let usage = reported(&[event]);
        assert_eq!(
            (usage.prompt_tokens, usage.cached_tokens),
            (Some(9), Some(5))
        );
        assert!(usage.excludes_cached);
    }
}

#[test]
fn missing_or_null_counts_are_unknown_not_zero() {
    let usage = reported(&[json!({"usage": null, "choices": []})]);
    assert_eq!((usage.prompt_tokens, usage.cached_tokens), (None, None));
    let usage = reported(&[json!({"usage": {"prompt_tokens": 9, "prompt_tokens_details": null}})]);
    assert_eq!((usage.prompt_tokens, usage.cached_tokens), (Some(9), None));
}

#[test]
fn zeros_before_or_after_the_true_counts_do_not_replace_them() {
    let zeros = json!({"usage": {"input_tokens": 0, "cache_read_input_tokens": 0}});
    let counts = json!({"usage": {"input_tokens": 9, "cache_read_input_tokens": 5}});
    for events in [[zeros.clone(), counts.clone()], [counts, zeros]] {
        let usage = reported(&events);
        assert_eq!(
            (usage.prompt_tokens, usage.cached_tokens),
            (Some(9), Some(5))
        );
    }
}

#[test]
fn a_zero_in_one_place_does_not_hide_the_count_in_another() {
    let event = json!({"usage": {"prompt_tokens": 9, "cached_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 0}}});
    assert_eq!(reported(&[event]).cached_tokens, Some(5));
}

#[test]
fn counts_may_be_floats_or_strings_and_nothing_else() {
    for (value, expected) in [
        (json!(5.0), Some(5)),
        (json!("5"), Some(5)),
        (json!(" 5.0 "), Some(5)),
        (json!(-5), None),
        (json!("five"), None),
        (json!(true), None),
        (json!([5]), None),
        (json!(1e300), Some(u64::MAX)),
        (json!(u64::MAX), Some(u64::MAX)),
    ] {
        assert_eq!(number(&value), expected, "{value}");
    }
}

#[test]
fn details_of_the_answer_do_not_count_for_the_prompt() {
    let event =
        json!({"usage": {"prompt_tokens": 9, "completion_tokens_details": {"cached_tokens": 5}}});
    assert_eq!(reported(&[event]).cached_tokens, None);
}

#[test]
fn fireworks_headers_are_read_and_the_body_takes_precedence() {
    let headers = [(PROMPT_HEADER, "90"), (CACHED_HEADER, "50")];
    let headers = headers.map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    let mut usage = Usage::from_headers(&HeaderMap::from_iter(headers));
    assert_eq!(
        (usage.prompt_tokens, usage.cached_tokens),
        (Some(90), Some(50))
    );
    assert_eq!(usage.cached_tokens_from.as_deref(), Some(CACHED_HEADER));

    usage.update(&json!({"usage": {"prompt_tokens": 80, "cached_tokens": 40}}));
    assert_eq!(
        (usage.prompt_tokens, usage.cached_tokens),
        (Some(80), Some(40))
    );
}

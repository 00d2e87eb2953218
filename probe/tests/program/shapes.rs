//! The shapes of answers that the probe reads; the README lists them.

use serde_json::json;

use crate::support::{Ran, Received, Server, cached, probe_url, response, run, stream};

pub(crate) const CHAT: &str = "/v1/chat/completions";

pub(crate) fn ran(
    path: &str,
    answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static,
) -> Ran {
    let server = Server::start(move |_, request| answer(request));
    run(probe_url(&server.url_of(path), &[]))
}

/// Checks that an answer is read to its end, with nine tenths cached from turn 2 on with a key.
pub(crate) fn is_read(
    what: &str,
    path: &str,
    answer: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static,
) {
    let ran = ran(path, move |request| answer(cached(request)));
    let expected = "this endpoint honors x-session-affinity. From turn 2 on, 90 % of prompt tokens came from cache with the key, 0 % without it.\n";
    assert_eq!(ran.code, Some(0), "{what}: {}", ran.err);
    assert!(ran.out.contains(expected), "{what}: {}", ran.out);
    let row = ran
        .out
        .lines()
        .find(|line| line.starts_with("time to first token"))
        .expect("a row");
    assert!(row.ends_with(" ms"), "{what}: {row}");
}

/// Returns the events of a short answer with this usage.
pub(crate) fn events(usage: &str) -> String {
    format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"Yes\"}}}}]}}\n\n\
         data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"length\"}}]}}\n\n\
         data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"
    )
}

/// Returns the usage of a prompt of 1,000 tokens, as OpenAI reports it.
pub(crate) fn openai(cached: u64) -> String {
    json!({"prompt_tokens": 1000, "prompt_tokens_details": {"cached_tokens": cached}}).to_string()
}

#[test]
fn every_framing_is_read() {
    let with =
        |change: fn(String) -> String| move |cached| stream(&change(events(&openai(cached))));
    is_read(
        "a bare `data:`",
        CHAT,
        with(|text| text.replace("data: [", "data:\n\ndata: [")),
    );
    is_read(
        "white space after the end",
        CHAT,
        with(|text| text.replace("[DONE]", "[DONE] \t")),
    );
    is_read(
        "a byte order mark",
        CHAT,
        with(|text| format!("\u{feff}{text}")),
    );
    is_read(
        "no last blank line",
        CHAT,
        with(|text| text.replace("\n\ndata: [DONE]\n\n", "")),
    );
    is_read(
        "CRLF and no spaces",
        CHAT,
        with(|text| text.replace("data: ", "data:").replace('\n', "\r\n")),
    );
    is_read(
        "comments and other fields",
        CHAT,
        with(|text| format!(": hi\nid: 1\nretry: 5\nevent: x\n{text}")),
    );
    is_read(
        "pings",
        CHAT,
        with(|text| format!("event: ping\ndata: now\n\ndata: {{\"type\": \"ping\"}}\n\n{text}")),
    );
    is_read(
        "a doubled `data:` prefix",
        CHAT,
        with(|text| text.replace("data: {", "data: data: {")),
    );
}

#[test]
fn every_content_type_is_read_and_an_answer_that_is_not_streamed() {
    for label in [
        "text/plain",
        "Text/Event-Stream; charset=UTF-8",
        "application/octet-stream",
    ] {
        let headers = format!("content-type: {label}\r\n");
        is_read(label, CHAT, move |cached| {
            response("200 OK", &headers, &events(&openai(cached)))
        });
    }
    is_read("no type", CHAT, |cached| {
        response("200 OK", "", &events(&openai(cached)))
    });
    is_read("lines of JSON", CHAT, |cached| {
        let lines = events(&openai(cached))
            .replace("data: [DONE]", "")
            .replace("data: ", "");
        response("200 OK", "content-type: application/x-ndjson\r\n", &lines)
    });
    is_read("an answer that is not streamed", CHAT, |cached| {
        let usage: serde_json::Value = serde_json::from_str(&openai(cached)).expect("JSON");
        let body = json!({"choices": [{"message": {"role": "assistant", "content": "Yes"}, "finish_reason": "stop"}], "usage": usage});
        response(
            "200 OK",
            "content-type: application/json\r\n",
            &format!("{body:#}"),
        )
    });
}

type Usage = fn(u64) -> String;

#[test]
fn token_counts_are_read_in_every_place_and_under_every_name() {
    let inner: [(&str, Usage); 9] = [
        ("OpenAI, vLLM, SGLang", openai),
        ("flat", |cached| {
            json!({"prompt_tokens": 1000, "cached_tokens": cached}).to_string()
        }),
        ("DeepSeek", |cached| {
            json!({"prompt_cache_hit_tokens": cached, "prompt_cache_miss_tokens": 1000 - cached})
                .to_string()
        }),
        ("Anthropic's names", |cached| {
            json!({"input_tokens": 1000 - cached, "cache_read_input_tokens": cached}).to_string()
        }),
        ("the Responses API's names", |cached| {
            json!({"input_tokens": 1000, "input_tokens_details": {"cached_tokens": cached}})
                .to_string()
        }),
        ("Bedrock", |cached| {
            json!({"inputTokens": 1000 - cached, "cacheReadInputTokens": cached}).to_string()
        }),
        ("floats", |cached| {
            format!("{{\"prompt_tokens\":1000.0,\"cached_tokens\":{cached}.0}}")
        }),
        ("strings", |cached| {
            json!({"prompt_tokens": "1000", "cached_tokens": cached.to_string()}).to_string()
        }),
        ("OpenAI's names, cached tokens excluded", |cached| {
            json!({"prompt_tokens": 1000 - cached, "prompt_tokens_details": {"cached_tokens": cached}}).to_string()
        }),
    ];
    for (what, usage) in inner {
        is_read(what, CHAT, move |cached| stream(&events(&usage(cached))));
    }
    is_read("Moonshot", CHAT, |cached| {
        let last = json!({"choices": [{"delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 1000, "cached_tokens": cached}}]});
        stream(&format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"Yes\"}}}}]}}\n\ndata: {last}\n\ndata: [DONE]\n\n"
        ))
    });
    is_read("Groq", CHAT, |cached| {
        let usage = json!({"usage": {"prompt_tokens": 1000, "prompt_tokens_details": {"cached_tokens": cached}}});
        stream(&format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"Yes\"}},\"finish_reason\":\"stop\"}}],\"x_groq\":{usage}}}\n\n"
        ))
    });
    is_read("llama.cpp", CHAT, |cached| {
        let timings = json!({"cache_n": cached, "prompt_n": 1000 - cached});
        stream(&format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"Yes\"}},\"finish_reason\":\"stop\"}}],\"timings\":{timings}}}\n\n"
        ))
    });
    is_read("Fireworks' headers", CHAT, |cached| {
        let headers = format!(
            "fireworks-prompt-tokens: 1000\r\nfireworks-cached-prompt-tokens: {cached}\r\n"
        );
        response("200 OK", &headers, &events("null"))
    });
}

#[test]
fn excluded_cached_tokens_are_added_with_a_note() {
    let ran = ran(CHAT, |request| {
        let cached = cached(request);
        let usage = json!({"input_tokens": 1000 - cached, "cache_read_input_tokens": cached});
        stream(&events(&usage.to_string()))
    });
    assert!(
        ran.out.contains(
            "The endpoint's prompt tokens exclude the cached ones; the two are added here."
        ),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("not needed"), "{}", ran.out);
}

#[test]
fn impossible_token_counts_are_inconclusive() {
    let ran = ran(CHAT, |_| {
        let usage = json!({"prompt_tokens": u64::MAX, "cached_tokens": u64::MAX});
        stream(&events(&usage.to_string()))
    });
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out
            .contains("inconclusive. The endpoint reports impossible token counts"),
        "{}",
        ran.out
    );
}

#[test]
fn content_reasoning_and_tool_calls_are_first_tokens() {
    for delta in [
        json!({"content": [{"type": "text", "text": "Yes"}]}),
        json!({"reasoning_content": "Hm"}),
        json!({"reasoning": "Hm"}),
        json!({"thinking": "Hm"}),
        json!({"reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]}),
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]}),
        json!({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}),
    ] {
        is_read(&delta.to_string(), CHAT, {
            let delta = delta.clone();
            move |cached| {
                stream(
                    &events(&openai(cached)).replace("{\"content\":\"Yes\"}", &delta.to_string()),
                )
            }
        });
    }
}

#[test]
fn an_endpoint_without_tokens_and_counts_is_inconclusive() {
    let ran = ran(CHAT, |_| {
        stream(
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        )
    });
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out
            .contains("its answers contain no token that the probe recognizes"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("at least 6"), "{}", ran.out);
}

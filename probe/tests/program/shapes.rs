//! Every interface and shape of an answer that is read, a row each of the table in the README.

use std::io::Write;

use serde_json::json;

use crate::support::{Ran, Received, Server, bytes, cached, probe_url, response, run, stream};

const CHAT: &str = "/v1/chat/completions";

fn ran(path: &str, answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Ran {
    let server = Server::start(move |_, request| answer(request));
    run(probe_url(&server.url_of(path), &[]))
}

/// Checks that answers are read to the end: nine tenths are cached with a key, from turn 2 on.
fn is_read(what: &str, path: &str, answer: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) {
    let ran = ran(path, move |request| answer(cached(request)));
    let expected = "with the key 90 % of the prompt came from cache, without it 0 %: this endpoint honours x-session-affinity\n";
    assert_eq!(ran.code, Some(0), "{what}: {}", ran.err);
    assert!(ran.out.contains(expected), "{what}: {}", ran.out);
    let row = ran
        .out
        .lines()
        .find(|line| line.starts_with("time to first token"))
        .expect("a row");
    assert!(row.ends_with(" ms"), "{what}: {row}");
}

/// The events of an answer of two tokens.
fn events(usage: &str) -> String {
    format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"Yes\"}}}}]}}\n\n\
         data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"length\"}}]}}\n\n\
         data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"
    )
}

fn openai(cached: u64) -> String {
    json!({"prompt_tokens": 1000, "prompt_tokens_details": {"cached_tokens": cached}}).to_string()
}

#[test]
fn framing_of_every_kind_is_read() {
    let with =
        |change: fn(String) -> String| move |cached| stream(&change(events(&openai(cached))));
    is_read(
        "a bare `data:`",
        CHAT,
        with(|text| text.replace("data: [", "data:\n\ndata: [")),
    );
    is_read(
        "white space behind the end",
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
        "a prefix that is there twice",
        CHAT,
        with(|text| text.replace("data: {", "data: data: {")),
    );
}

#[test]
fn types_of_every_kind_are_read_and_an_answer_that_is_not_streamed() {
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
    is_read("a whole answer", CHAT, |cached| {
        let usage: serde_json::Value = serde_json::from_str(&openai(cached)).expect("JSON");
        let body = json!({"choices": [{"message": {"role": "assistant", "content": "Yes"}, "finish_reason": "stop"}], "usage": usage});
        response(
            "200 OK",
            "content-type: application/json\r\n",
            &format!("{body:#}"),
        )
    });
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("written")
}

fn brotli(text: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut compressed, 4096, 5, 20);
    encoder.write_all(text).expect("written");
    drop(encoder);
    compressed
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("written")
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("written")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).expect("encoded")
}

type Usage = fn(u64) -> String;
type Encode = fn(&[u8]) -> Vec<u8>;

#[test]
fn encodings_of_every_kind_are_read() {
    let both: Encode = |text| brotli(&gzip(text));
    let plain: Encode = <[u8]>::to_vec;
    let encodings: [(&str, Encode); 11] = [
        ("gzip", gzip),
        ("X-GZip", gzip),
        ("deflate", zlib),
        ("deflate", deflate),
        ("br", brotli),
        ("zstd", zstd),
        ("gzip, br", both),
        ("identity", plain),
        ("gzip", plain),
        ("", gzip),
        ("", zstd),
    ];
    for (label, encode) in encodings {
        let headers = format!("content-type: text/event-stream\r\ncontent-encoding: {label}\r\n");
        let headers = if label.is_empty() {
            String::new()
        } else {
            headers
        };
        is_read(label, CHAT, move |cached| {
            bytes(
                "200 OK",
                &headers,
                &encode(events(&openai(cached)).as_bytes()),
            )
        });
    }
}

#[test]
fn an_encoding_that_is_not_known_and_one_that_is_broken_are_told() {
    let told = ran(CHAT, |_| {
        bytes("200 OK", "content-encoding: compress\r\n", b"\x1f\x9dabc")
    });
    assert_eq!(told.code, Some(1));
    assert!(
        told.err.contains(
            "error: the answer has the content-encoding compress, which this tool does not read"
        ),
        "{}",
        told.err
    );
    let told = ran(CHAT, |_| {
        bytes(
            "200 OK",
            "content-encoding: gzip\r\n",
            b"\x1f\x8b\x08broken, in the middle",
        )
    });
    assert_eq!(told.code, Some(1));
    assert!(
        told.err
            .contains("error: the stream broke off after 0 pieces of the answer: "),
        "{}",
        told.err
    );
}

#[test]
fn usage_is_read_in_every_place_and_under_every_name() {
    let inner: [(&str, Usage); 9] = [
        ("OpenAI, vLLM, SGLang", openai),
        ("flat", |cached| {
            json!({"prompt_tokens": 1000, "cached_tokens": cached}).to_string()
        }),
        ("DeepSeek", |cached| {
            json!({"prompt_cache_hit_tokens": cached, "prompt_cache_miss_tokens": 1000 - cached})
                .to_string()
        }),
        ("Anthropic's words", |cached| {
            json!({"input_tokens": 1000 - cached, "cache_read_input_tokens": cached}).to_string()
        }),
        ("the Responses API's words", |cached| {
            json!({"input_tokens": 1000, "input_tokens_details": {"cached_tokens": cached}})
                .to_string()
        }),
        ("Bedrock", |cached| {
            json!({"inputTokens": 1000 - cached, "cacheReadInputTokens": cached}).to_string()
        }),
        ("floats", |cached| {
            format!("{{\"prompt_tokens\":1000.0,\"cached_tokens\":{cached}.0}}")
        }),
        ("texts", |cached| {
            json!({"prompt_tokens": "1000", "cached_tokens": cached.to_string()}).to_string()
        }),
        ("OpenAI's words, cached tokens apart", |cached| {
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
fn cached_tokens_beside_the_prompt_are_told() {
    let ran = ran(CHAT, |request| {
        let cached = cached(request);
        let usage = json!({"input_tokens": 1000 - cached, "cache_read_input_tokens": cached});
        stream(&events(&usage.to_string()))
    });
    assert!(
        ran.out.contains(
            "The endpoint counts cached tokens beside those of the prompt; both are added here."
        ),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("both high"), "{}", ran.out);
}

#[test]
fn numbers_that_no_prompt_has_are_not_added_up() {
    let ran = ran(CHAT, |_| {
        let usage = json!({"prompt_tokens": u64::MAX, "cached_tokens": u64::MAX});
        stream(&events(&usage.to_string()))
    });
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out
            .contains("the numbers that the endpoint reports do not fit together"),
        "{}",
        ran.out
    );
}

#[test]
fn first_tokens_of_every_kind_are_read() {
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
fn an_endpoint_without_tokens_and_numbers_is_not_said_to_have_failed() {
    let ran = ran(CHAT, |_| {
        stream(
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        )
    });
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.out
            .contains("its answers held no token that this tool knows: nothing to judge by"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("too few"), "{}", ran.out);
}

fn data(events: &[serde_json::Value]) -> Vec<u8> {
    let lines = events.iter().map(|event| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap_or_default()
        )
    });
    stream(&lines.collect::<String>())
}

#[test]
fn anthropic_messages_are_read() {
    is_read("a stream", "/v1/messages", |cached| {
        data(&[
            json!({"type": "message_start", "message": {"role": "assistant", "content": [], "usage": {
                "input_tokens": 1000 - cached, "cache_creation_input_tokens": 0, "cache_read_input_tokens": cached, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "ping"}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Yes"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 8}}),
            json!({"type": "message_stop"}),
        ])
    });
    is_read("a whole message", "/v1/messages", |cached| {
        let usage = json!({"input_tokens": 1000 - cached, "cache_read_input_tokens": cached});
        let body = json!({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Yes"}], "stop_reason": "end_turn", "usage": usage});
        response(
            "200 OK",
            "content-type: application/json\r\n",
            &body.to_string(),
        )
    });
}

#[test]
fn openai_responses_are_read() {
    let response_of = |cached: u64| {
        json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "error": null,
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Yes"}]}],
        "usage": {"input_tokens": 1000, "input_tokens_details": {"cached_tokens": cached}, "output_tokens": 16}})
    };
    is_read("a stream", "/v1/responses", move |cached| {
        data(&[
            json!({"type": "response.created", "response": {"status": "in_progress", "error": null, "usage": null}}),
            json!({"type": "response.output_item.added", "item": {"type": "message", "content": []}}),
            json!({"type": "response.output_text.delta", "delta": "Yes"}),
            json!({"type": "response.output_text.done", "text": "Yes"}),
            json!({"type": "response.incomplete", "response": response_of(cached)}),
        ])
    });
    is_read("a whole response", "/v1/responses", move |cached| {
        response(
            "200 OK",
            "content-type: application/json\r\n",
            &response_of(cached).to_string(),
        )
    });
}

#[test]
fn ollamas_own_chat_is_read() {
    is_read("lines", "/api/chat", |cached| {
        let first = json!({"model": "m", "message": {"role": "assistant", "content": "Yes"}, "done": false});
        let last = json!({"model": "m", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "length",
            "prompt_eval_count": 1000, "prompt_eval_cached_count": cached, "eval_count": 8});
        response(
            "200 OK",
            "content-type: application/x-ndjson\r\n",
            &format!("{first}\n{last}\n"),
        )
    });
}

#[test]
fn an_interface_is_chosen_where_the_path_does_not_tell() {
    let server = Server::start(|_, request| {
        let usage = json!({"input_tokens": 1000, "input_tokens_details": {"cached_tokens": cached(request)}});
        let body = json!({"status": "completed", "output": [{"content": [{"type": "output_text", "text": "Yes"}]}], "usage": usage});
        response("200 OK", "", &body.to_string())
    });
    let ran = run(probe_url(&server.url_of("/proxy"), &["--api=responses"]));
    assert!(
        ran.out.contains("honours x-session-affinity"),
        "{} {}",
        ran.out,
        ran.err
    );
    let request = &server.received()[0].body;
    assert!(request["input"].is_array() && request["max_output_tokens"] == 16);
}

#[test]
fn anthropic_gets_its_own_headers() {
    let server = Server::start(|_, _| response("401 Unauthorized", "", ""));
    run(probe_url(&server.url_of("/v1/messages"), &[]));
    let request = &server.received()[0];
    assert_eq!(request.header("x-api-key"), Some(crate::support::KEY));
    assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.body["system"][0]["type"], "text");
}

//! The APIs that the probe speaks.

use serde_json::json;

use crate::shapes::is_read;
use crate::support::{KEY, Server, cached, probe_url, response, run, stream};

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
    is_read("a message that is not streamed", "/v1/messages", |cached| {
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
    is_read(
        "a response that is not streamed",
        "/v1/responses",
        move |cached| {
            response(
                "200 OK",
                "content-type: application/json\r\n",
                &response_of(cached).to_string(),
            )
        },
    );
}

#[test]
fn ollama_native_chat_is_read() {
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
fn api_overrides_the_path() {
    let server = Server::start(|_, request| {
        let usage = json!({"input_tokens": 1000, "input_tokens_details": {"cached_tokens": cached(request)}});
        let body = json!({"status": "completed", "output": [{"content": [{"type": "output_text", "text": "Yes"}]}], "usage": usage});
        response("200 OK", "", &body.to_string())
    });
    let ran = run(probe_url(&server.url_of("/proxy"), &["--api=responses"]));
    assert!(
        ran.out
            .contains("this endpoint honors x-session-affinity. "),
        "{} {}",
        ran.out,
        ran.err
    );
    let request = &server.received()[0].body;
    assert!(request["input"].is_array() && request["max_output_tokens"] == 16);
}

#[test]
fn anthropic_requests_have_its_headers() {
    let server = Server::start(|_, _| response("401 Unauthorized", "", ""));
    run(probe_url(&server.url_of("/v1/messages"), &[]));
    let request = &server.received()[0];
    assert_eq!(request.header("x-api-key"), Some(KEY));
    assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.body["system"][0]["type"], "text");
}

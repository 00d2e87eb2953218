//! Endpoints that fail, each in a way of its own.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, mpsc};

use crate::support::{KEY, Server, answer, probe_url, response, run, stream, usage};

#[test]
fn a_refused_connection_is_said_and_fails() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = closed.local_addr().expect("bound");
    drop(closed);
    let ran = run(probe_url(&format!("http://{address}/v1"), &[]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    let expected = format!("error: no connection to http://{address}/v1: ");
    assert!(
        ran.err.contains(&expected) && ran.err.contains("refused"),
        "{}",
        ran.err
    );
}

#[test]
fn a_host_that_does_not_exist_is_said_and_fails() {
    let ran = run(probe_url("http://no-such-host.invalid/v1", &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("error: no connection to http://no-such-host.invalid/v1: dns error"),
        "{}",
        ran.err
    );
}

#[test]
fn a_refused_key_is_told_with_the_status_and_the_body_but_without_the_key() {
    let body = format!(
        r#"{{"error":"no such key: {KEY}, {}"}}"#,
        KEY.replace('/', "\\/")
    );
    let server = Server::start(move |_, _| response("401 Unauthorized", "", &body));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.json");
    let mut command = probe_url(&server.url(), &[]);
    command.arg("--json").arg(&path);
    let ran = run(command);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    let expected = r#"error: the endpoint answered 401 Unauthorized: {"error":"no such key: [api key], [api key]"}"#;
    assert!(ran.err.contains(expected), "{}", ran.err);
    assert!(ran.err.contains("--api-key-env"), "{}", ran.err);
    assert_eq!(
        server.received().len(),
        1,
        "the next request would fail in the same way"
    );
    let json = std::fs::read_to_string(path).expect("written");
    assert!(!json.contains(KEY), "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["ended"], &json["requests"][0]["status"]),
        (&"failed".into(), &401.into())
    );
}

#[test]
fn a_wrong_address_is_told_what_the_right_one_looks_like() {
    let server = Server::start(|_, _| response("404 Not Found", "", "no such route"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("answered 404 Not Found: no such route\n--url is the whole address"),
        "{}",
        ran.err
    );
}

#[test]
fn a_redirect_is_not_followed_and_its_target_is_told() {
    let server = Server::start(|_, _| {
        response(
            "308 Permanent Redirect",
            "location: https://elsewhere.example/\r\n",
            "<h1>Moved</h1>",
        )
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    let expected = "308 Permanent Redirect: it points to https://elsewhere.example/\n\
                    Redirects are not followed; give the final address with --url.\n";
    assert!(ran.err.ends_with(expected), "{}", ran.err);
}

#[test]
fn a_server_of_another_protocol_is_asked_once_and_not_called_closed() {
    let server = Server::start(|_, _| b"SSH-2.0-OpenSSH_9.2\r\n".to_vec());
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    let expected = "error: the endpoint does not speak HTTP: invalid HTTP version parsed\n\
                    --url may need another scheme or port.\n";
    assert!(ran.err.ends_with(expected), "{}", ran.err);
    assert_eq!(server.received().len(), 1);
}

#[test]
fn a_server_without_tls_is_told_from_one_with_a_bad_certificate() {
    let address = spoken_to(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let ran = run(probe_url(&format!("https://{address}/v1"), &[]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    let expected = "error: the endpoint does not speak TLS: ";
    assert!(ran.err.contains(expected), "{}", ran.err);
    assert!(
        ran.err
            .ends_with("\n--url may need another scheme or port.\n"),
        "{}",
        ran.err
    );
}

/// Says this to whoever connects first, whatever the other side says.
fn spoken_to(words: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.write_all(words).expect("sent");
        // Until the other side has closed.
        let _ = io::copy(&mut stream, &mut io::sink());
    });
    address
}

#[test]
fn a_busy_endpoint_gets_the_time_that_it_asks_for() {
    let server = Server::start(|index, _| match index {
        0 => response("429 Too Many Requests", "retry-after: 1\r\n", ""),
        _ => answer(&usage(500)),
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err.contains("the endpoint is busy (429); waiting 1 s"),
        "{}",
        ran.err
    );
    let received = server.received();
    assert_eq!(received.len(), 1 + 24);
    assert_eq!(received[0].body, received[1].body, "the same request again");
}

#[test]
fn an_endpoint_that_is_busy_for_an_hour_is_given_up() {
    let server =
        Server::start(|_, _| response("429 Too Many Requests", "retry-after: 3600\r\n", "quota"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    let expected = "the endpoint answered 429 Too Many Requests and asks to wait 3600 s; given up after 1 try: quota";
    assert!(ran.err.contains(expected), "{}", ran.err);
    assert_eq!(server.received().len(), 1);
}

#[test]
fn a_stream_that_breaks_off_once_costs_one_conversation_and_the_run_goes_on() {
    let server = Server::start(|index, _| match index {
        3 => stream("data: {\"choices\":[{\"delta\":{\"content\":\"Yes\"}}]}\n\n"),
        _ => answer(&usage(500)),
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let expected =
        "the stream broke off after 1 piece of the answer: it ended without a last chunk";
    assert!(ran.err.contains(expected), "{}", ran.err);
    assert_eq!(
        server.received().len(),
        23,
        "the broken conversation has no second turn"
    );
    assert!(
        ran.out
            .contains("5 conversations, and a verdict takes at least 6"),
        "{}",
        ran.out
    );
}

#[test]
fn a_chunked_stream_that_is_cut_is_told_apart_from_one_that_ended() {
    let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"Yes\"}}]}\n\n";
    let body = format!("{:x}\r\n{chunk}\r\n", chunk.len());
    let headers = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n";
    let server = Server::start(move |_, _| response("200 OK", headers, &body));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(
        ran.err
            .contains("error: the stream broke off after 1 piece of the answer: "),
        "{}",
        ran.err
    );
    assert_eq!(server.received().len(), 5, "five failures are enough");
}

#[test]
fn an_error_inside_of_the_stream_is_told() {
    let events = format!("data: {{\"error\":{{\"message\":\"overloaded, {KEY}\"}}}}\n\n");
    let server = Server::start(move |_, _| stream(&events));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("the endpoint sent an error inside of the stream: overloaded, [api key]"),
        "{}",
        ran.err
    );
}

#[test]
fn every_shape_of_an_error_inside_of_the_stream_shows_the_words_of_the_endpoint() {
    for events in [
        "data: {\"error\":\"no memory\"}\n\n",
        "data: {\"error\":{\"code\":1,\"msg\":\"no memory\"}}\n\n",
        "event: error\ndata: {\"message\":\"no memory\"}\n\n",
        "event: error\ndata: no memory\n\n",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"no memory\"}}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"error\",\"error\":{\"message\":\"no memory\"}}]}\n\n",
        "data: {\"object\":\"error\",\"message\":\"no memory\",\"code\":500}\n\n",
        "data: {\"detail\":\"no memory\"}\n\n",
        "error: {\"message\":\"no memory\"}\n\n",
        "{\"error\":{\"message\":\"no memory\"}}\n",
        "{\"error\":{\"message\":\"no memory\"}}",
        "[{\"error\":{\"message\":\"no memory\"}}]",
        "data: {\"choices\":[{\"delta\":{\"content\":\"Yes\"}}]}\n\n{\"error\":{\"message\":\"no memory\"}}\n",
    ] {
        let server = Server::start(move |_, _| stream(events));
        let ran = run(probe_url(&server.url(), &[]));
        assert_eq!(ran.code, Some(1));
        let expected = "error: the endpoint sent an error inside of the stream: no memory\n";
        assert!(ran.err.contains(expected), "{events}: {}", ran.err);
    }
}

#[test]
fn a_stream_of_events_that_are_not_known_shows_the_last_of_them() {
    let server = Server::start(|_, _| stream("data: {\"queue\":\"you are 7th\"}\n\n"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("; the last event was: {\"queue\":\"you are 7th\"}"),
        "{}",
        ran.err
    );
}

#[test]
fn an_event_that_is_no_json_is_told() {
    let server = Server::start(|_, _| stream("data: <html>\n\n"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("the stream holds an event that is no chunk of a chat: <html>"),
        "{}",
        ran.err
    );
}

#[test]
fn an_answer_that_is_no_stream_is_told_with_its_type() {
    let server =
        Server::start(|_, _| response("200 OK", "content-type: text/html\r\n", "<h1>Welcome</h1>"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    let expected =
        "the endpoint answered with text/html instead of an event stream: <h1>Welcome</h1>";
    assert!(ran.err.contains(expected), "{}", ran.err);
}

#[test]
fn only_the_first_bytes_of_a_body_are_shown() {
    let server =
        Server::start(|_, _| response("500 Internal Server Error", "", &"oh no ".repeat(100_000)));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("500 Internal Server Error: oh no oh no"),
        "{}",
        ran.err
    );
    assert!(ran.err.len() < 3000, "{}", ran.err);
}

#[test]
fn a_silent_endpoint_is_not_waited_for_forever() {
    // No answer before the program has ended.
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let server = Server::start(move |_, _| {
        let _ = held.lock().map(|held| held.recv());
        Vec::new()
    });
    let ran = run(probe_url(&server.url(), &["--timeout=1"]));
    drop(release);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(
        ran.err
            .contains("error: nothing arrived for 1 s (--timeout)"),
        "{}",
        ran.err
    );
}

#[test]
fn a_connection_that_is_closed_without_an_answer_is_tried_once_more() {
    let server = Server::start(|index, _| {
        if index == 0 {
            Vec::new()
        } else {
            answer(&usage(500))
        }
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(server.received().len(), 1 + 24);

    let server = Server::start(|_, _| Vec::new());
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("error: the endpoint closed the connection without an answer"),
        "{}",
        ran.err
    );
    assert_eq!(server.received().len(), 5 * 2);
}

#[test]
fn what_was_measured_before_a_failure_is_still_told() {
    let server = Server::start(|index, _| match index {
        20 => response("402 Payment Required", "", "no credit"),
        _ => answer(&usage(500)),
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("The run was not completed"), "{}", ran.out);
    assert!(ran.out.contains("prompt from cache"), "{}", ran.out);
    assert!(
        ran.err
            .contains("error: the endpoint answered 402 Payment Required: no credit"),
        "{}",
        ran.err
    );
}

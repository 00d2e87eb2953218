//! Endpoints that fail, each in its own way.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, mpsc};

use crate::support::{KEY, Server, answer, probe_url, response, run, usage};

#[test]
fn a_refused_connection_is_reported() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = closed.local_addr().expect("bound");
    drop(closed);
    let ran = run(probe_url(&format!("http://{address}/v1"), &[]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    let expected = format!("error: cannot connect to http://{address}/v1: ");
    assert!(
        ran.err.contains(&expected) && ran.err.contains("refused"),
        "{}",
        ran.err
    );
}

#[test]
fn a_host_that_does_not_exist_is_reported() {
    let ran = run(probe_url("http://no-such-host.invalid/v1", &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("error: cannot connect to http://no-such-host.invalid/v1: dns error"),
        "{}",
        ran.err
    );
}

#[test]
fn a_rejected_key_is_reported_with_status_and_body_but_without_the_key() {
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
        "the next request would fail the same way"
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
fn a_404_is_reported_with_the_expected_form_of_the_address() {
    let server = Server::start(|_, _| response("404 Not Found", "", "no such route"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("answered 404 Not Found: no such route\n--url must be the full address, usually ending in /v1/chat/completions.\n"),
        "{}",
        ran.err
    );
}

#[test]
fn a_redirect_is_not_followed_and_its_target_is_reported() {
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
                    Redirects are not followed; pass the final address as --url.\n";
    assert!(ran.err.ends_with(expected), "{}", ran.err);
}

#[test]
fn a_server_that_speaks_a_different_protocol_is_reported_after_one_request() {
    let server = Server::start(|_, _| b"SSH-2.0-OpenSSH_9.2\r\n".to_vec());
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    let expected = "error: the endpoint does not speak HTTP: invalid HTTP version parsed\n\
                    Check the scheme and the port of --url.\n";
    assert!(ran.err.ends_with(expected), "{}", ran.err);
    assert_eq!(server.received().len(), 1);
}

#[test]
fn a_server_without_tls_is_reported_as_such() {
    let address = saying(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let ran = run(probe_url(&format!("https://{address}/v1"), &[]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    let expected = "error: the endpoint does not speak TLS: ";
    assert!(ran.err.contains(expected), "{}", ran.err);
    assert!(
        ran.err
            .ends_with("\nCheck the scheme and the port of --url.\n"),
        "{}",
        ran.err
    );
}

/// Starts a server that sends these bytes to its first client.
fn saying(words: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.write_all(words).expect("sent");
        // Keep the connection open until the client closes it.
        let _ = io::copy(&mut stream, &mut io::sink());
    });
    address
}

#[test]
fn a_busy_endpoint_gets_the_wait_that_it_asks_for() {
    let server = Server::start(|index, _| match index {
        0 => response("429 Too Many Requests", "retry-after: 1\r\n", ""),
        _ => answer(&usage(500)),
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(
        ran.err
            .contains("the endpoint is busy (429); trying again in 1 s"),
        "{}",
        ran.err
    );
    let received = server.received();
    assert_eq!(received.len(), 1 + 24);
    assert_eq!(
        received[0].body, received[1].body,
        "the same request is sent again"
    );
}

#[test]
fn the_probe_gives_up_on_an_endpoint_that_is_busy_for_an_hour() {
    let server =
        Server::start(|_, _| response("429 Too Many Requests", "retry-after: 3600\r\n", "quota"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    let expected = "the endpoint answered 429 Too Many Requests and asks to wait 3600 s; gave up after 1 try: quota";
    assert!(ran.err.contains(expected), "{}", ran.err);
    assert_eq!(server.received().len(), 1);
}

#[test]
fn an_answer_that_is_not_a_stream_is_reported_with_its_content_type() {
    let server =
        Server::start(|_, _| response("200 OK", "content-type: text/html\r\n", "<h1>Welcome</h1>"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    let expected =
        "the endpoint answered with text/html instead of an event stream: <h1>Welcome</h1>";
    assert!(ran.err.contains(expected), "{}", ran.err);
}

#[test]
fn only_the_beginning_of_a_long_body_is_shown() {
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
fn a_silent_endpoint_ends_at_the_timeout() {
    // The answer is held back until the program has ended.
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
            .contains("error: no data arrived for 1 s (--timeout)"),
        "{}",
        ran.err
    );
}

#[test]
fn a_request_is_sent_once_more_if_the_connection_closes_before_the_answer() {
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
            .contains("error: the endpoint closed the connection before answering"),
        "{}",
        ran.err
    );
    assert_eq!(server.received().len(), 5 * 2);
}

#[test]
fn results_before_a_failure_are_still_reported() {
    let server = Server::start(|index, _| match index {
        20 => response("402 Payment Required", "", "no credit"),
        _ => answer(&usage(500)),
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("The run did not complete"), "{}", ran.out);
    assert!(ran.out.contains("prompt tokens from cache"), "{}", ran.out);
    assert!(
        ran.err
            .contains("error: the endpoint answered 402 Payment Required: no credit"),
        "{}",
        ran.err
    );
}

//! Endpoints whose answers never end or are cut off, and busy ones.

use std::io;
use std::time::{Duration, Instant};

use crate::support::{Ran, Server, Stream, answer, probe_url, response, run, stream, usage};

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// An event with this many words.
fn event(name: &str, words: usize) -> String {
    let words = "Yes ".repeat(words);
    format!("data: {{\"choices\":[{{\"delta\":{{\"{name}\":\"{words}\"}}}}]}}\n\n")
}

/// Runs against an endpoint that repeats this event, as fast as it is read or with pauses.
fn endless(head: &'static str, event: &str, pause: Duration, args: &[&str]) -> Ran {
    let event = event.to_owned();
    let server = Server::writing(move |_, _, stream: &mut dyn Stream| {
        stream.write_all(head.as_bytes())?;
        stream.flush()?;
        let until = Instant::now() + Duration::from_secs(30);
        // The client closes the connection. If it does not, the test fails but still ends.
        while Instant::now() < until {
            stream.write_all(event.as_bytes())?;
            stream.flush()?;
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
        io::Result::Ok(())
    });
    run(probe_url(
        &server.url(),
        &[&["--concurrency=5"], args].concat(),
    ))
}

#[test]
fn the_probe_gives_up_on_endless_tokens() {
    let ran = endless(HEAD, &event("content", 250), Duration::ZERO, &[]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains(
            "error: gave up on an answer: the endpoint sent text far beyond --max-tokens"
        ),
        "{}",
        ran.err
    );
}

#[test]
fn endless_comments_and_slow_bytes_end_at_the_request_timeout() {
    let pause = Duration::from_millis(100);
    for event in [": still here\n\n", "d"] {
        let ran = endless(HEAD, event, pause, &["--request-timeout=1"]);
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.err.contains(
                "error: the answer did not finish within 1 s (--request-timeout); 0 chunks arrived"
            ),
            "{}",
            ran.err
        );
    }
}

#[test]
fn the_probe_gives_up_on_endless_reasoning() {
    let reasoning = event("reasoning", 4000);
    let ran = endless(HEAD, &reasoning, Duration::ZERO, &[]);
    assert_eq!(ran.code, Some(1));
    let expected = "error: gave up on an answer: the endpoint sent over 16 MiB";
    assert!(ran.err.contains(expected), "{}", ran.err);
}

#[test]
fn data_after_the_end_is_not_waited_for() {
    let server = Server::writing(|_, _, stream: &mut dyn Stream| {
        stream.write_all(&answer(&usage(500)))?;
        loop {
            stream.write_all(b"data: {\"choices\":[]}\n\n")?;
        }
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[test]
fn an_error_with_an_endless_body_is_reported_with_its_status() {
    let head = "HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\n\r\noh no";
    let ran = endless(head, " ", Duration::from_millis(100), &[]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("error: the endpoint answered 500 Internal Server Error: oh no"),
        "{}",
        ran.err
    );
}

#[test]
fn the_probe_gives_up_on_a_compression_bomb() {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..1600 {
        encoder.write_all(&[b' '; 1 << 14]).expect("written");
    }
    let bomb = encoder.finish().expect("written");
    let server = Server::start(move |_, _| {
        crate::support::bytes(
            "200 OK",
            "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n",
            &bomb,
        )
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("gave up on an answer: the endpoint sent over 16 MiB"),
        "{}",
        ran.err
    );
}

#[test]
fn a_cut_stream_with_an_empty_finish_reason_is_incomplete() {
    for reason in ["\"\"", "null", "\" \""] {
        let cut = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"Yes\"}},\"finish_reason\":{reason}}}]}}\n\n"
        );
        let server = Server::start(move |_, _| stream(&cut));
        let ran = run(probe_url(&server.url(), &[]));
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
        assert!(ran.err.contains("error: the stream broke off after 1 chunk of the answer: the final chunk is missing"), "{}", ran.err);
    }
}

#[test]
fn every_busy_status_gets_the_wait_that_it_asks_for() {
    for (status, header, waits) in [
        (
            "429 Too Many Requests",
            "retry-after: 0.25",
            "(429); trying again in 0.25 s",
        ),
        (
            "429 Too Many Requests",
            "retry-after-ms: 20",
            "(429); trying again in 0.02 s",
        ),
        (
            "503 Service Unavailable",
            "retry-after: 0.1",
            "(503); trying again in 0.1 s",
        ),
        (
            "503 Service Unavailable",
            "retry-after: Sun, 06 Nov 1994 08:49:37 GMT",
            "(503); trying again in 0 s",
        ),
        (
            "529 Overloaded",
            "x-ms-retry-after-ms: 5",
            "(529); trying again in 0.005 s",
        ),
    ] {
        let server = Server::start(move |index, _| match index {
            0 => response(status, &format!("{header}\r\n"), ""),
            _ => answer(&usage(500)),
        });
        let ran = run(probe_url(&server.url(), &[]));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(
            ran.err.contains(&format!("the endpoint is busy {waits}\n")),
            "{}",
            ran.err
        );
    }
}

#[test]
fn the_probe_gives_up_on_an_endpoint_that_stays_busy_and_shows_its_status() {
    let server = Server::start(|_, _| response("529 ", "retry-after: 0\r\n", "overloaded"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    let expected = "error: the endpoint answered 529 and asks to wait 0 s; gave up after 4 tries: overloaded\nTry again later, or with a lower --concurrency.";
    assert!(ran.err.contains(expected), "{}", ran.err);
    assert_eq!(server.received().len(), 4);
}

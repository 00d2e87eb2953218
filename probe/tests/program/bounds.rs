//! Endpoints that never end, that are cut, or that are busy.

use std::io;
use std::time::{Duration, Instant};

use crate::support::{Ran, Server, Stream, answer, probe_url, response, run, stream, usage};

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// A piece of so many words.
fn piece(name: &str, words: usize) -> String {
    let words = "Yes ".repeat(words);
    format!("data: {{\"choices\":[{{\"delta\":{{\"{name}\":\"{words}\"}}}}]}}\n\n")
}

/// Runs against an endpoint that writes this over and over, as fast as it is read or with pauses.
fn endless(head: &'static str, piece: &str, pause: Duration, args: &[&str]) -> Ran {
    let piece = piece.to_owned();
    let server = Server::writing(move |_, _, stream: &mut dyn Stream| {
        stream.write_all(head.as_bytes())?;
        stream.flush()?;
        let until = Instant::now() + Duration::from_secs(30);
        // The client ends it; if it does not, the test fails and ends all the same.
        while Instant::now() < until {
            stream.write_all(piece.as_bytes())?;
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
fn endless_tokens_are_given_up() {
    let ran = endless(HEAD, &piece("content", 250), Duration::ZERO, &[]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains(
            "error: the endpoint sent an answer that does not end at --max-tokens: given up"
        ),
        "{}",
        ran.err
    );
}

#[test]
fn endless_comments_and_slow_bytes_end_at_the_limit_of_a_request() {
    let pause = Duration::from_millis(100);
    for piece in [": still here\n\n", "d"] {
        let ran = endless(HEAD, piece, pause, &["--request-timeout=1"]);
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.err.contains(
                "error: the answer was not over after 1 s (--request-timeout) and 0 pieces"
            ),
            "{}",
            ran.err
        );
    }
}

#[test]
fn endless_thoughts_are_given_up() {
    let thought = piece("reasoning", 4000);
    let ran = endless(HEAD, &thought, Duration::ZERO, &[]);
    assert_eq!(ran.code, Some(1));
    let expected = "error: the endpoint sent over 16 MiB for an answer: given up";
    assert!(ran.err.contains(expected), "{}", ran.err);
}

#[test]
fn what_comes_after_the_end_is_not_waited_for() {
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
fn an_error_whose_body_does_not_end_is_told_with_its_status() {
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
fn an_answer_that_expands_without_end_is_given_up() {
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
            .contains("the endpoint sent over 16 MiB for an answer: given up"),
        "{}",
        ran.err
    );
}

#[test]
fn a_stream_that_was_cut_is_not_whole_for_an_empty_reason() {
    for reason in ["\"\"", "null", "\" \""] {
        let cut = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"Yes\"}},\"finish_reason\":{reason}}}]}}\n\n"
        );
        let server = Server::start(move |_, _| stream(&cut));
        let ran = run(probe_url(&server.url(), &[]));
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
        assert!(ran.err.contains("error: the stream broke off after 1 piece of the answer: it ended without a last chunk"), "{}", ran.err);
    }
}

#[test]
fn every_kind_of_busy_gets_the_time_that_it_asks_for() {
    for (status, header, waits) in [
        (
            "429 Too Many Requests",
            "retry-after: 0.25",
            "(429); waiting 0.25 s",
        ),
        (
            "429 Too Many Requests",
            "retry-after-ms: 20",
            "(429); waiting 0.02 s",
        ),
        (
            "503 Service Unavailable",
            "retry-after: 0.1",
            "(503); waiting 0.1 s",
        ),
        (
            "503 Service Unavailable",
            "retry-after: Sun, 06 Nov 1994 08:49:37 GMT",
            "(503); waiting 0 s",
        ),
        (
            "529 Overloaded",
            "x-ms-retry-after-ms: 5",
            "(529); waiting 0.005 s",
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
fn an_endpoint_that_stays_busy_is_given_up_with_its_own_status() {
    let server = Server::start(|_, _| response("529 ", "retry-after: 0\r\n", "overloaded"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    let expected =
        "error: the endpoint answered 529 and asks to wait 0 s; given up after 4 tries: overloaded";
    assert!(ran.err.contains(expected), "{}", ran.err);
    assert_eq!(server.received().len(), 4);
}

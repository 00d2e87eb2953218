//! Streams that break off or contain errors.

use crate::support::{KEY, Server, answer, probe_url, response, run, stream, usage};

#[test]
fn a_single_broken_stream_ends_its_conversation_and_the_run_continues() {
    let server = Server::start(|index, _| match index {
        3 => stream("data: {\"choices\":[{\"delta\":{\"content\":\"Yes\"}}]}\n\n"),
        _ => answer(&usage(500)),
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let expected = "the stream broke off after 1 chunk of the answer: the final chunk is missing";
    assert!(ran.err.contains(expected), "{}", ran.err);
    assert_eq!(
        server.received().len(),
        23,
        "the broken conversation has no second turn"
    );
    assert!(
        ran.out
            .contains("A verdict needs at least 6 conversations that were measured in every variant, and this run has 5"),
        "{}",
        ran.out
    );
}

#[test]
fn a_cut_chunked_stream_is_reported_as_broken() {
    let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"Yes\"}}]}\n\n";
    let body = format!("{:x}\r\n{chunk}\r\n", chunk.len());
    let headers = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n";
    let server = Server::start(move |_, _| response("200 OK", headers, &body));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(
        ran.err
            .contains("error: the stream broke off after 1 chunk of the answer: "),
        "{}",
        ran.err
    );
    assert_eq!(
        server.received().len(),
        5,
        "the run ends after five failures"
    );
}

#[test]
fn an_error_in_the_stream_is_reported() {
    let events = format!("data: {{\"error\":{{\"message\":\"overloaded, {KEY}\"}}}}\n\n");
    let server = Server::start(move |_, _| stream(&events));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("the endpoint sent an error in the stream: overloaded, [api key]"),
        "{}",
        ran.err
    );
}

#[test]
fn every_shape_of_error_in_the_stream_shows_the_endpoints_message() {
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
        let expected = "error: the endpoint sent an error in the stream: no memory\n";
        assert!(ran.err.contains(expected), "{events}: {}", ran.err);
    }
}

#[test]
fn a_stream_of_unknown_events_shows_the_last_one() {
    let server = Server::start(|_, _| stream("data: {\"queue\":\"you are 7th\"}\n\n"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("; the last unknown event was: {\"queue\":\"you are 7th\"}"),
        "{}",
        ran.err
    );
}

#[test]
fn an_event_that_is_not_json_is_reported() {
    let server = Server::start(|_, _| stream("data: <html>\n\n"));
    let ran = run(probe_url(&server.url(), &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("the stream contains an event that is not a JSON object: <html>"),
        "{}",
        ran.err
    );
}

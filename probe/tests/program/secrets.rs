//! Credentials that an endpoint sends back, and texts that would control a terminal.

use data_encoding::{BASE64, HEXLOWER};

use crate::support::{KEY, KEY_ENV, Server, probe, probe_url, response, run, stream};

fn each(format: impl Fn(u32) -> String) -> String {
    KEY.chars().map(|c| format(u32::from(c))).collect()
}

#[test]
fn the_api_key_is_masked_in_every_encoding_and_place() {
    for (what, text) in [
        ("upper case", KEY.to_uppercase()),
        ("JSON escapes", each(|c| format!("\\u{c:04x}"))),
        ("percent-encoding", each(|c| format!("%{c:02X}"))),
        ("base64", BASE64.encode(format!("user:{KEY}").as_bytes())),
        ("hexadecimal", HEXLOWER.encode(KEY.as_bytes())),
        ("HTML entities", each(|c| format!("&#x{c:x};"))),
        ("half of it", KEY[..12].to_owned()),
    ] {
        let error = format!("data: {{\"error\":{{\"message\":\"bad key {text}.\"}}}}\n\n");
        let refusal = response("401 Unauthorized", "", &format!("bad key {text}."));
        let label = response("200 OK", &format!("content-type: {text}\r\n"), "<h1>");
        let target = response("302 Found", &format!("location: /?bad key {text}.\r\n"), "");
        for answer in [stream(&error), refusal, label, target] {
            let server = Server::start(move |_, _| answer.clone());
            let ran = run(probe_url(&server.url(), &[]));
            assert_eq!(ran.code, Some(1));
            assert!(ran.err.contains("[api key]"), "{what}: {}", ran.err);
            assert!(!ran.err.contains(&text), "{what}: {}", ran.err);
        }
    }
}

#[test]
fn the_query_of_the_address_is_masked() {
    let server = Server::start(|_, request| {
        let line = request.head.lines().next().unwrap_or_default().to_owned();
        response("404 Not Found", "", &format!("no such page: {line}"))
    });
    let url = format!("{}?api-version=2024-02-01&key=s3cret%2Fvalue", server.url());
    let ran = run(probe_url(&url, &[]));
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err
            .contains("?api-version=2024-02-01&key=[query] HTTP/1.1"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("s3cret"), "{}", ran.err);
}

#[test]
fn a_header_from_the_environment_is_sent_and_masked() {
    let server = Server::start(|_, request| {
        response(
            "403 Forbidden",
            "",
            &format!("not allowed: {}", request.head.replace("\r\n", " ")),
        )
    });
    let url = server.url();
    let header = format!("--header=X-Token: Token ${{{KEY_ENV}}}");
    let ran = run(probe(&[
        "--url",
        &url,
        "--model=m",
        "--yes",
        &header,
        "--header=x-org: acme-corporation",
    ]));
    let request = &server.received()[0];
    assert_eq!(
        request.header("x-token"),
        Some(format!("Token {KEY}").as_str())
    );
    assert_eq!(request.header("x-org"), Some("acme-corporation"));
    assert!(
        ran.err.contains("x-token: Token [header]") && !ran.err.contains("acme"),
        "{}",
        ran.err
    );
}

#[test]
fn control_and_invisible_characters_are_not_printed() {
    let server = Server::start(|_, _| {
        response(
            "500 Internal Server Error",
            "",
            "oh\x1b[31m \u{202e}no\u{200b}\u{2066}, \u{feff}gr\u{ad}ün\u{e0041}",
        )
    });
    let ran = run(probe_url(&server.url(), &[]));
    assert!(
        ran.err
            .contains("500 Internal Server Error: oh [31m no, grün\n"),
        "{:?}",
        ran.err
    );
}

//! Which header lines arrive over real sockets.

mod support;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};
use tower_session_affinity::{
    AffinityKey, HostPattern, MergePolicy, NoAffinity, SessionAffinityLayer,
};

use support::Capture;

/// Header values, in order.
type Values<'a> = &'a [&'a [u8]];

/// Sends one request through the layer and returns the values that arrive.
async fn arrived(
    version: Version,
    layer: &SessionAffinityLayer,
    request: Request<Empty<Bytes>>,
) -> Vec<Vec<u8>> {
    let mut builder = Client::builder(TokioExecutor::new());
    let client = builder.http2_only(version == Version::HTTP_2).build_http();
    let response = layer.layer(client).oneshot(request).await.unwrap();
    assert_eq!(response.headers()["x-version"], format!("{version:?}"));
    let lines = response.into_body().collect().await.unwrap().to_bytes();
    lines
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"x-session-affinity: "))
        .map(<[u8]>::to_vec)
        .collect()
}

#[tokio::test]
async fn every_row_arrives_as_at_most_one_line_over_http_1_and_http_2() {
    let server = Capture::start().await;
    let uri = format!("http://{}/v1/chat", server.address);
    let none: Values<'_> = &[];
    let ours: Values<'_> = &[b"ours"];
    // The values before, and those that arrive: `Keep` and `Replace` with a key, then without one.
    #[rustfmt::skip]
    let rows: [(Values<'_>, [Values<'_>; 4]); 7] = [
        (&[],                        [ours,               ours, none,               none]),
        (&[b""],                     [ours,               ours, none,               none]),
        (&[b" ", b""],               [ours,               ours, none,               none]),
        (&[b"user"],                 [&[b"user"],         ours, &[b"user"],         none]),
        (&[b"user", b"abc"],         [&[b"user"],         ours, &[b"user"],         none]),
        (&[b"", b"user, abc"],       [&[b"user, abc"],    ours, &[b"user, abc"],    none]),
        (&[b"schl\xc3\xbcssel"],     [&[b"schl\xc3\xbcssel"], ours, &[b"schl\xc3\xbcssel"], none]),
    ];
    let settings = [
        (MergePolicy::Keep, true),
        (MergePolicy::Replace, true),
        (MergePolicy::Keep, false),
        (MergePolicy::Replace, false),
    ];
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (before, expected) in rows {
            for ((policy, has_key), expected) in settings.into_iter().zip(expected) {
                let mut request = Request::get(&uri).body(Empty::new()).unwrap();
                for value in before {
                    let value = HeaderValue::from_bytes(value).unwrap();
                    request.headers_mut().append("x-session-affinity", value);
                }
                if has_key {
                    request
                        .extensions_mut()
                        .insert(AffinityKey::from_static("ours"));
                }
                let layer = SessionAffinityLayer::new().merge_policy(policy);
                let lines = arrived(version, &layer, request).await;
                assert_eq!(
                    lines, expected,
                    "{version:?} {policy:?} {before:?} key: {has_key}"
                );
            }
        }
    }
}

#[tokio::test]
async fn no_header_arrives_at_an_unlisted_host_or_with_no_affinity() {
    let server = Capture::start().await;
    let uri = format!("http://{}/v1/chat", server.address);
    let request = || {
        let request = Request::get(&uri).header("x-session-affinity", "user");
        request.extension(AffinityKey::from_static("ours"))
    };
    let elsewhere = HostPattern::from_static("api.fireworks.ai");
    let here: HostPattern = server.address.to_string().parse().unwrap();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let layer = SessionAffinityLayer::new();
        let marked = request().extension(NoAffinity).body(Empty::new()).unwrap();
        assert!(arrived(version, &layer, marked).await.is_empty());

        let layer = layer.only_hosts([elsewhere.clone()]);
        let plain = request().body(Empty::new()).unwrap();
        assert!(arrived(version, &layer, plain).await.is_empty());

        let layer = layer.only_hosts([elsewhere.clone(), here.clone()]);
        let plain = request().body(Empty::new()).unwrap();
        assert_eq!(arrived(version, &layer, plain).await, [b"user"]);
    }
}

/// The receiving side reads bytes, without an HTTP library.
#[tokio::test]
async fn an_http_1_request_has_the_header_exactly_once_on_the_wire() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/v1/chat", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut received = Vec::new();
        while !received.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0);
        }
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        String::from_utf8(received).unwrap()
    });
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let layer = SessionAffinityLayer::new().or(AffinityKey::from_static("chat-7"));
    let request = Request::get(uri)
        .header("X-Session-Affinity", "")
        .body(Empty::new())
        .unwrap();
    layer.layer(client).oneshot(request).await.unwrap();

    let received = server.await.unwrap().to_ascii_lowercase();
    assert_eq!(
        received.matches("x-session-affinity").count(),
        1,
        "{received}"
    );
    assert!(
        received.contains("\r\nx-session-affinity: chat-7\r\n"),
        "{received}"
    );
}

//! Over real sockets: the body arrives at its announced length.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};
use tower_session_affinity::{Destination, FieldBody, PromptCacheKeyLayer};

use crate::{KEY, MEMBER};

const TEXT: &str = r#"{"messages":[{"role":"user"}]} "#;

fn expected() -> String {
    TEXT.replacen("} ", &format!("{MEMBER}}} "), 1)
}

/// What arrived at the server.
struct Arrived {
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

/// A server that echoes requests until it is dropped.
struct Echo {
    address: SocketAddr,
    /// Aborts its tasks when it is dropped.
    _tasks: JoinSet<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let service = hyper::service::service_fn(echo);
                    let server = auto::Builder::new(TokioExecutor::new());
                    let end = server.serve_connection(TokioIo::new(stream), service).await;
                    // The client reports the error.
                    drop(end);
                });
            }
        });
        Self {
            address,
            _tasks: tasks,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/v1/chat/completions", self.address)
    }
}

/// Echoes the body, the trailers, and the headers with a prefix.
async fn echo(request: Request<Incoming>) -> Result<Response<StreamBody<Frames>>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        let mut response = Response::new(StreamBody::new(Frames::default()));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    };
    let trailers = body.trailers().cloned().map(Frame::trailers);
    let data = Frame::data(body.to_bytes());
    let frames = Frames([Some(data), trailers].into_iter().flatten().collect());
    let mut response = Response::new(StreamBody::new(frames));
    for (name, value) in &parts.headers {
        let name = http::HeaderName::try_from(format!("x-echo-{name}")).unwrap();
        response.headers_mut().insert(name, value.clone());
    }
    Ok(response)
}

#[derive(Default)]
struct Frames(std::collections::VecDeque<Frame<Bytes>>);

impl futures_util::Stream for Frames {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.pop_front().map(Ok))
    }
}

/// Sends a body through the layer and a hyper client.
async fn send<B>(echo: &Echo, version: Version, length: Option<usize>, body: B) -> Arrived
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let row = Destination::body_field("127.0.0.1", "prompt_cache_key").unwrap();
    let client = Client::builder(TokioExecutor::new())
        .http2_only(version == Version::HTTP_2)
        .build_http::<FieldBody<B>>();
    let client = ServiceBuilder::new()
        .layer(PromptCacheKeyLayer::new().or(KEY).destinations(row.into()))
        .service(client);
    let mut request = Request::post(echo.url()).header("content-type", "application/json");
    let lengths = length.map(|length| (CONTENT_LENGTH, HeaderValue::from(length)));
    request.headers_mut().unwrap().extend(lengths);
    request
        .headers_mut()
        .unwrap()
        .insert("te", HeaderValue::from_static("trailers"));
    let response = client.oneshot(request.body(body).unwrap());
    let response = tokio::time::timeout(Duration::from_secs(20), response);
    let response = response.await.expect("a response in 20 s").unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.version(), version);
    let headers = response.headers().clone();
    let body = response.into_body().collect().await.unwrap();
    Arrived {
        headers,
        trailers: body.trailers().cloned(),
        body: body.to_bytes(),
    }
}

/// Returns a body of unknown length, in chunks of `size` bytes.
fn chunked(size: usize) -> Channel<Bytes> {
    let (mut chunks, body) = Channel::new(1);
    tokio::spawn(async move {
        for chunk in TEXT.as_bytes().chunks(size) {
            chunks.send_data(Bytes::from_static(chunk)).await.unwrap();
        }
    });
    body
}

#[tokio::test]
async fn a_body_of_known_length_announces_the_length_that_it_has() {
    let echo = Echo::start().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for announced in [None, Some(TEXT.len())] {
            let arrived = send(&echo, version, announced, Full::<Bytes>::from(TEXT)).await;
            assert_eq!(arrived.body, expected());
            let length = &arrived.headers["x-echo-content-length"];
            assert_eq!(length, &expected().len().to_string());
        }
    }
}

#[tokio::test]
async fn a_stream_with_an_announced_length_keeps_to_it() {
    let echo = Echo::start().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for size in [1, 7, 1000] {
            let arrived = send(&echo, version, Some(TEXT.len()), chunked(size)).await;
            assert_eq!(arrived.body, expected());
            let length = &arrived.headers["x-echo-content-length"];
            assert_eq!(length, &expected().len().to_string());
        }
    }
}

#[tokio::test]
async fn a_stream_of_unknown_length_announces_none() {
    let echo = Echo::start().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for size in [1, 7, 1000] {
            let arrived = send(&echo, version, None, chunked(size)).await;
            assert_eq!(arrived.body, expected());
            assert!(!arrived.headers.contains_key("x-echo-content-length"));
            let coding = arrived.headers.get(format!("x-echo-{TRANSFER_ENCODING}"));
            assert_eq!(coding.is_some(), version == Version::HTTP_11);
        }
    }
}

#[tokio::test]
async fn a_body_without_the_field_also_arrives_at_its_announced_length() {
    let echo = Echo::start().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for text in ["[]", r#"{"prompt_cache_key":null}"#, r#"{"a":"#] {
            for announced in [None, Some(text.len())] {
                let arrived = send(&echo, version, announced, Full::<Bytes>::from(text)).await;
                assert_eq!(arrived.body, crate::padded(text));
            }
        }
    }
}

#[tokio::test]
async fn an_empty_body_arrives_empty() {
    let echo = Echo::start().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let arrived = send(&echo, version, None, Full::<Bytes>::default()).await;
        assert!(arrived.body.is_empty());
        assert_ne!(
            arrived
                .headers
                .get("x-echo-content-length")
                .map(HeaderValue::as_bytes),
            Some(&b"28"[..])
        );
        let (chunks, body) = Channel::<Bytes>::new(1);
        drop(chunks);
        assert!(send(&echo, version, None, body).await.body.is_empty());
    }
}

#[tokio::test]
async fn trailers_arrive_after_the_field() {
    let echo = Echo::start().await;
    let (mut chunks, body) = Channel::<Bytes>::new(1);
    let expected_trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("x-checksum"),
        HeaderValue::from_static("7"),
    )]);
    let trailers = expected_trailers.clone();
    tokio::spawn(async move {
        chunks
            .send_data(Bytes::from_static(TEXT.as_bytes()))
            .await
            .unwrap();
        chunks.send_trailers(trailers).await.unwrap();
    });
    let arrived = send(&echo, Version::HTTP_2, None, body).await;
    assert_eq!(arrived.body, expected());
    assert_eq!(arrived.trailers, Some(expected_trailers));
}

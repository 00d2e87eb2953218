//! Malformed HTTP/1.1 bodies, which client libraries refuse to send.

use std::io;
use std::net::SocketAddr;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode, header::HOST};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::wire::ECHO;

/// Sends a malformed body over its own connection, and reads until the gateway closes it.
pub(crate) async fn exchange(plan: &mut Plan, gateway: SocketAddr) -> Outcome {
    match send(plan, gateway).await {
        Ok(answer) => judge(&answer),
        Err(error) => Outcome::failed(&error),
    }
}

async fn send(plan: &mut Plan, gateway: SocketAddr) -> io::Result<Vec<u8>> {
    let (framing, value, body, ends): (_, _, &[u8], _) = match plan.rng.u8(0..4) {
        0 => (TRANSFER_ENCODING, "chunked", b"5\r\nhello\r\nzz\r\n", false),
        1 => (TRANSFER_ENCODING, "chunked", b"5\r\nhello", true),
        2 => (
            TRANSFER_ENCODING,
            "chunked",
            b"5\r\nhello!\r\n0\r\n\r\n",
            false,
        ),
        _ => (CONTENT_LENGTH, "4096", b"hello", true),
    };
    let mut request = plan.request(ECHO, ());
    let headers = request.headers_mut();
    headers.insert(framing, HeaderValue::from_static(value));
    headers.insert(HOST, HeaderValue::from_static("gateway"));

    let mut bytes = format!("POST {} HTTP/1.1\r\n", request.uri()).into_bytes();
    for (name, value) in request.headers() {
        bytes.extend_from_slice(name.as_ref());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);

    let mut stream = TcpStream::connect(gateway).await?;
    stream.write_all(&bytes).await?;
    if ends {
        stream.shutdown().await?;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

fn judge(answer: &[u8]) -> Outcome {
    let status = answer
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    match status.map(StatusCode::from_bytes) {
        None => Outcome::Failed("closed before the response".into()),
        Some(Ok(StatusCode::OK)) if is_complete(answer) => Outcome::Answered,
        Some(Ok(StatusCode::OK)) => Outcome::Failed("closed during the response".into()),
        Some(Ok(status)) => Outcome::Refused(status),
        Some(Err(_)) => Outcome::Wrong("a response without a valid status".into()),
    }
}

/// Whether a chunked response has its last chunk.
///
/// A response with a length is never complete: it echoes a body that is shorter than announced.
fn is_complete(answer: &[u8]) -> bool {
    answer.ends_with(b"\r\n0\r\n\r\n")
}

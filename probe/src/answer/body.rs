//! The body of an answer, decompressed and read with a deadline.

use std::io;
use std::time::Duration;

use async_compression::tokio::bufread::{
    BrotliDecoder, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};
use futures_util::TryStreamExt;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::time::{Instant, timeout_at};
use tokio_util::io::StreamReader;

type Reader = Box<dyn AsyncBufRead + Send + Unpin>;

/// The first bytes of compressed bodies.
const MAGIC: [(&[u8], &str); 2] = [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd")];

/// The first bytes of answers that are not compressed, whatever `content-encoding` says.
const TEXT: [&[u8]; 6] = [b"data:", b"event:", b"id:", b":", b"{", b"<"];

/// A body that is read in chunks.
pub(super) struct Body {
    reader: Reader,
    /// The encodings still to decode, outermost last.
    encodings: Vec<String>,
    buffer: Box<[u8]>,
    is_begun: bool,
}

/// Why reading stopped.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The deadline passed.
    Late,
    /// The connection broke, or the data cannot be decoded.
    Broken(io::Error),
    /// The content encoding is not supported.
    Encoding(String),
}

impl Body {
    pub(super) fn new(headers: &HeaderMap, body: Incoming) -> Self {
        let bytes = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
        let encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        let encodings = encodings.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let encodings =
            encodings.map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase());
        Self {
            reader: Box::new(bytes),
            encodings: encodings
                .filter(|name| !name.is_empty() && name != "identity")
                .collect(),
            buffer: vec![0; 1 << 14].into(),
            is_begun: false,
        }
    }

    /// Waits for the next bytes; an empty slice means the end.
    pub(super) async fn next(&mut self, deadline: Instant) -> Result<&[u8], Stopped> {
        // A timeout alone would never fire for a body that is always ready.
        if Instant::now() >= deadline {
            return Err(Stopped::Late);
        }
        let next = async {
            self.decode().await?;
            self.reader
                .read(&mut self.buffer)
                .await
                .map_err(Stopped::Broken)
        };
        let read = timeout_at(deadline, next)
            .await
            .map_err(|_| Stopped::Late)??;
        Ok(&self.buffer[..read])
    }

    /// Adds a decoder for each encoding, once the first bytes have arrived.
    ///
    /// The bytes decide, since some proxies decode a body but keep `content-encoding`, or remove it from a
    /// body that is still encoded.
    async fn decode(&mut self) -> Result<(), Stopped> {
        if !std::mem::replace(&mut self.is_begun, true) && self.encodings.is_empty() {
            let head = self.reader.fill_buf().await.map_err(Stopped::Broken)?;
            let compressed = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
            self.encodings
                .extend(compressed.map(|(_, name)| (*name).to_owned()));
        }
        while let Some(encoding) = self.encodings.last() {
            let head = self.reader.fill_buf().await.map_err(Stopped::Broken)?;
            let is_text = TEXT.iter().any(|text| head.starts_with(text));
            let is_zlib = head.first().is_some_and(|first| first & 0x0f == 8);
            let encoding = encoding.clone();
            let reader = std::mem::replace(&mut self.reader, Box::new(tokio::io::empty()));
            self.reader = match encoding.as_str() {
                "gzip" | "x-gzip" | "deflate" | "br" | "zstd" if is_text => reader,
                "gzip" | "x-gzip" => buffered(GzipDecoder::new(reader)),
                // By the standard this is zlib, but some servers send it without zlib's header.
                "deflate" if is_zlib => buffered(ZlibDecoder::new(reader)),
                "deflate" => buffered(DeflateDecoder::new(reader)),
                "br" => buffered(BrotliDecoder::new(reader)),
                "zstd" => buffered(ZstdDecoder::new(reader)),
                _ => return Err(Stopped::Encoding(encoding)),
            };
            self.encodings.pop();
        }
        Ok(())
    }

    /// Returns up to `most` bytes that arrive in time.
    pub(super) async fn beginning(&mut self, most: usize, within: Duration) -> Vec<u8> {
        let deadline = Instant::now() + within;
        let mut bytes = Vec::new();
        while bytes.len() < most {
            match self.next(deadline).await {
                Ok([]) | Err(_) => break,
                Ok(read) => bytes.extend_from_slice(read),
            }
        }
        bytes.truncate(most);
        bytes
    }
}

fn buffered(decoder: impl AsyncRead + Send + Unpin + 'static) -> Reader {
    Box::new(BufReader::new(decoder))
}

//! Counts the lines of one header in the bytes of each request.

use std::collections::BTreeMap;
use std::io;
use std::mem::take;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use http::{HeaderName, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Counts POST requests by how many lines of a header they have.
///
/// A gateway's health checks are GETs, which are not counted.
#[derive(Clone, Debug)]
pub struct LineCounts {
    name: HeaderName,
    requests: Arc<Mutex<BTreeMap<usize, usize>>>,
}

/// A stream that counts header lines in the requests that are read from it.
#[derive(Debug)]
pub(crate) struct Captured {
    stream: TcpStream,
    counts: LineCounts,
    head: Vec<u8>,
    body_left: usize,
}

impl LineCounts {
    pub(crate) fn new(name: HeaderName) -> Self {
        Self {
            name,
            requests: Arc::default(),
        }
    }

    /// Returns the requests counted since the last call, by number of lines.
    pub fn take(&self) -> BTreeMap<usize, usize> {
        take(&mut *self.requests())
    }

    fn add(&self, lines: usize) {
        *self.requests().entry(lines).or_default() += 1;
    }

    /// Ignores poisoning: a panic of another holder cannot leave the counts inconsistent.
    fn requests(&self) -> MutexGuard<'_, BTreeMap<usize, usize>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Captured {
    pub(crate) const fn new(stream: TcpStream, counts: LineCounts) -> Self {
        Self {
            stream,
            counts,
            head: Vec::new(),
            body_left: 0,
        }
    }

    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            if self.body_left > 0 {
                self.body_left -= 1;
                continue;
            }
            self.head.push(*byte);
            if self.head.ends_with(b"\r\n\r\n") {
                self.end_head()?;
            }
        }
        Ok(())
    }

    fn end_head(&mut self) -> io::Result<()> {
        let head = String::from_utf8_lossy(&take(&mut self.head)).into_owned();
        let values = |name: &HeaderName| {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            let name = name.clone();
            lines.filter(move |(key, _)| key.eq_ignore_ascii_case(name.as_str()))
        };
        if values(&header::TRANSFER_ENCODING).next().is_some() {
            return Err(io::Error::other(
                "header lines cannot be counted in requests with a chunked body",
            ));
        }
        self.body_left = values(&header::CONTENT_LENGTH)
            .next()
            .map_or(Ok(0), |(_, length)| length.trim().parse())
            .map_err(io::Error::other)?;
        if head.starts_with("POST ") {
            self.counts.add(values(&self.counts.name).count());
        }
        Ok(())
    }
}

impl AsyncRead for Captured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        Poll::Ready(self.read(&buffer.filled()[before..]))
    }
}

impl AsyncWrite for Captured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Starts a proxy that counts the header lines that clients send to a gateway, and returns its address.
pub(crate) async fn tap(gateway: SocketAddr, sent: LineCounts) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // The task ends with the test's runtime.
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let mut client = Captured::new(client, sent.clone());
            tokio::spawn(async move {
                let mut gateway = TcpStream::connect(gateway).await?;
                gateway.set_nodelay(true)?;
                tokio::io::copy_bidirectional(&mut client, &mut gateway).await
            });
        }
    });
    Ok(address)
}

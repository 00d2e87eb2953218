//! Replicas and gateways on loopback, which end with the test that started them.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The response header with which a replica says who it is.
pub const REPLICA: HeaderName = HeaderName::from_static("x-replica");

/// An upstream server that answers with its own address and records the affinity lines it received.
#[derive(Debug)]
pub struct Replica {
    /// Where it listens.
    pub address: SocketAddr,
    line_counts: Arc<Mutex<BTreeSet<usize>>>,
    task: JoinHandle<()>,
}

/// A gateway's process.
#[derive(Debug)]
pub struct Gateway {
    process: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Replica {
    /// Starts a replica on a free port; `name` is the header whose lines it counts.
    ///
    /// # Errors
    ///
    /// If no port of loopback can be bound.
    pub async fn start(name: HeaderName) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let line_counts = Arc::<Mutex<BTreeSet<usize>>>::default();
        let recorded = line_counts.clone();
        let answer = move |request: Request<Incoming>| {
            let count = request.headers().get_all(&name).iter().count();
            lock(&recorded).insert(count);
            let response = Response::builder().header(REPLICA, address.to_string());
            async { response.body(Full::<Bytes>::default()) }
        };
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
                tokio::spawn(connection);
            }
        });
        Ok(Self {
            address,
            line_counts,
            task,
        })
    }

    /// Returns how many lines of the header requests arrived with, each number once.
    #[must_use]
    pub fn line_counts(&self) -> BTreeSet<usize> {
        lock(&self.line_counts).clone()
    }
}

/// A panic of another holder leaves a set of numbers as good as before.
fn lock(numbers: &Mutex<BTreeSet<usize>>) -> MutexGuard<'_, BTreeSet<usize>> {
    numbers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gateway {
    /// Starts a gateway that listens at `address`, and waits until it does.
    ///
    /// # Errors
    ///
    /// If the program does not start, ends, or does not listen within ten seconds.
    pub async fn start(command: &mut Command, address: SocketAddr) -> io::Result<Self> {
        let mut gateway = Self {
            process: command.spawn()?,
            address,
        };
        for _ in 0..200 {
            if let Some(status) = gateway.process.try_wait()? {
                return Err(io::Error::other(format!("the gateway ended: {status}")));
            }
            if TcpStream::connect(address).await.is_ok() {
                return Ok(gateway);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(io::Error::from(io::ErrorKind::TimedOut))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = ended {
            let _ = writeln!(io::stderr(), "a gateway did not end: {error}");
        }
    }
}

/// Returns an address of loopback that was free a moment ago.
///
/// # Errors
///
/// If no port of loopback can be bound.
pub fn free_address() -> io::Result<SocketAddr> {
    std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Finds a gateway's program; without it the test that asks is skipped and says so.
///
/// # Panics
///
/// If the program is missing and the environment has `REQUIRE_GATEWAYS=1`.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in a folder that the path of a user lacks.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let program = folders
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    if program.is_none() {
        let required = std::env::var_os("REQUIRE_GATEWAYS").is_some_and(|value| value == "1");
        assert!(!required, "{name} is missing, and REQUIRE_GATEWAYS=1");
        // Not `eprintln!`, which the test harness hides where a test passes.
        let _ = writeln!(io::stderr(), "skipped: {name} is missing");
    }
    program
}

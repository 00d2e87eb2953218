//! A real inference engine: llama.cpp's server, and what it counts itself.

use std::io;
use std::net::SocketAddr;
use std::ops::{AddAssign, Sub};
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};

use crate::cluster::PATIENCE;
use crate::{Process, Setup, find_program, free_address, model};

/// The programs of an engine behind a gateway.
#[derive(Clone, Debug)]
pub struct Programs {
    server: PathBuf,
    model: PathBuf,
    gateway: Option<PathBuf>,
}

/// Some llama-servers, perhaps behind a gateway.
#[derive(Debug)]
pub struct Engine {
    /// Where requests go: to the gateway, or to the only server.
    pub address: SocketAddr,
    servers: Vec<SocketAddr>,
    _processes: Vec<(Process, TempDir)>,
}

/// Makes the command line of a gateway before the servers.
pub type Launch = fn(&Path, &Setup) -> Command;

/// Prompt tokens as the servers count them in `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Computed: `llamacpp:prompt_tokens_total`.
    pub computed: u64,
    /// Found in a cache: `llamacpp:prompt_tokens_cached_total`.
    pub cached: u64,
}

impl Programs {
    /// Finds the server, its model, and a gateway of this name, if one is wanted.
    ///
    /// Returns `None` where [`find_program`] does.
    #[must_use]
    pub fn find(gateway: Option<&str>) -> Option<Self> {
        Some(Self {
            server: find_program("llama-server")?,
            model: model()?,
            gateway: match gateway {
                Some(name) => Some(find_program(name)?),
                None => None,
            },
        })
    }
}

impl Engine {
    /// Starts this many servers with these further arguments, and the gateway before them.
    ///
    /// # Errors
    ///
    /// If a program ends or does not answer within a minute.
    pub async fn start(
        programs: &Programs,
        servers: usize,
        arguments: &[&str],
        launch: Launch,
    ) -> io::Result<Self> {
        let mut processes = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..servers {
            let folder = tempfile::tempdir()?;
            let address = free_address()?;
            let command = serve(programs, address, arguments);
            processes.push((Process::start(&command, folder.path())?, folder));
            addresses.push(address);
        }
        for (address, (process, _)) in addresses.iter().zip(&mut processes) {
            // It answers 503 as long as it loads the model.
            wait_for(process, *address, "/health", &[]).await?;
        }
        let mut address = addresses[0];
        if let Some(gateway) = &programs.gateway {
            let (listen, process) = put_before(&addresses, gateway, launch).await?;
            address = listen;
            processes.push(process);
        }
        Ok(Self {
            address,
            servers: addresses,
            _processes: processes,
        })
    }

    /// Adds up what the servers have counted since they started.
    ///
    /// # Errors
    ///
    /// If a server does not answer, or does not count.
    pub async fn counters(&self) -> io::Result<Counters> {
        let mut sum = Counters::default();
        for server in &self.servers {
            let (_, metrics) = get(*server, "/metrics").await?;
            sum += Counters {
                computed: metric(&metrics, "llamacpp:prompt_tokens_total")?,
                cached: metric(&metrics, "llamacpp:prompt_tokens_cached_total")?,
            };
        }
        Ok(sum)
    }
}

impl Sub for Counters {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            computed: self.computed - before.computed,
            cached: self.cached - before.cached,
        }
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.computed += other.computed;
        self.cached += other.cached;
    }
}

/// The command line of one server: one thread, and the model under the name `m`.
fn serve(programs: &Programs, address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Command::new(&programs.server);
    command
        .arg("--model")
        .arg(&programs.model)
        .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
        .args([
            "--threads",
            "1",
            "--ctx-size",
            "4096",
            "--alias",
            "m",
            "--metrics",
        ])
        .args(arguments);
    command
}

/// Starts a gateway before these servers; returns where it listens.
async fn put_before(
    servers: &[SocketAddr],
    gateway: &Path,
    launch: Launch,
) -> io::Result<(SocketAddr, (Process, TempDir))> {
    let folder = tempfile::tempdir()?;
    let setup = Setup::new(servers.to_vec(), folder.path())?;
    let mut process = Process::start(&launch(gateway, &setup), folder.path())?;
    if gateway.ends_with("smg") {
        // It takes its workers in one after the other, and tells which.
        let workers: Vec<_> = setup.urls().collect();
        wait_for(&mut process, setup.listen, "/workers", &workers).await?;
    }
    wait_for(&mut process, setup.listen, "/v1/models", &[]).await?;
    Ok((setup.listen, (process, folder)))
}

/// Asks until the answer is 200 and has all these words in it.
async fn wait_for(
    process: &mut Process,
    address: SocketAddr,
    path: &str,
    words: &[String],
) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        process.check()?;
        let answer = get(address, path).await;
        let is_there = |text: &String| words.iter().all(|word| text.contains(word));
        if matches!(&answer, Ok((StatusCode::OK, text)) if is_there(text)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let output = process.last_lines();
            return Err(io::Error::other(format!("{path}: {answer:?}\n{output}")));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn get(address: SocketAddr, path: &str) -> io::Result<(StatusCode, String)> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let uri = format!("http://{address}{path}");
    let response = client.get(uri.parse().map_err(io::Error::other)?).await;
    let (head, body) = response.map_err(io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok((head.status, String::from_utf8_lossy(&body).into_owned()))
}

fn metric(metrics: &str, name: &str) -> io::Result<u64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|value| value.trim().parse().ok());
    value.ok_or_else(|| io::Error::other(format!("no {name} in /metrics")))
}

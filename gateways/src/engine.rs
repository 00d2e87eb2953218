//! Real inference servers, perhaps behind a gateway, and their own token counters.

mod kind;

use std::io;
use std::net::SocketAddr;
use std::ops::{AddAssign, Sub};
use std::path::{Path, PathBuf};
use std::process::Command;

use http::StatusCode;
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};

use crate::client::bare_client;
use crate::cluster::PATIENCE;
use crate::process::print;
use crate::{Process, Setup, find_program, free_address};

pub use kind::{ENDS_WITH_PARENT, Kind};

/// The programs that an [`Engine`] needs.
#[derive(Clone, Debug)]
pub struct Programs {
    kind: Kind,
    server: PathBuf,
    model: PathBuf,
    gateway: Option<PathBuf>,
}

/// Running servers of one kind, perhaps behind a gateway.
#[derive(Debug)]
pub struct Engine {
    /// Where to send requests: the gateway, or the first server.
    pub address: SocketAddr,
    kind: Kind,
    servers: Vec<SocketAddr>,
    _processes: Vec<(Process, TempDir)>,
}

/// Builds the command line of a gateway in front of the servers.
pub type Launch = fn(&Path, &Setup) -> Command;

/// Prompt tokens as the servers count them in `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Computed: `llamacpp:prompt_tokens_total`, or `vllm:prompt_tokens_total` less the cached ones.
    pub computed: u64,
    /// Read from a cache: `llamacpp:prompt_tokens_cached_total`, `vllm:prompt_tokens_cached_total`.
    pub cached: u64,
}

impl Programs {
    /// Finds a server of this kind, its model, and the gateway of this name, if any.
    ///
    /// Returns `None` if [`find_program`] does.
    #[must_use]
    pub fn find(kind: Kind, gateway: Option<&str>) -> Option<Self> {
        let (server, model) = kind.find()?;
        let gateway = match gateway {
            Some(name) => Some(find_program(name)?),
            None => None,
        };
        Some(Self {
            kind,
            server,
            model,
            gateway,
        })
    }
}

impl Engine {
    /// Starts this many servers with these extra arguments, and the gateway in front of them.
    ///
    /// Returns `None`, and says so, if the processor cannot run the server.
    ///
    /// # Errors
    ///
    /// Returns an error if a program ends or does not answer in time.
    pub async fn start(
        programs: &Programs,
        servers: usize,
        arguments: &[&str],
        launch: Launch,
    ) -> io::Result<Option<Self>> {
        match Self::try_start(programs, servers, arguments, launch).await {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                print(
                    "skipped: the server needs instructions (AVX-512) that this processor does not have; \
                     put your own llama-server into target/gateways/bin",
                );
                Ok(None)
            }
            started => started.map(Some),
        }
    }

    async fn try_start(
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
            let kind = programs.kind;
            let mut command = kind.command(&programs.server, &programs.model, address);
            command.args(arguments);
            processes.push((Process::start(&command, folder.path())?, folder));
            addresses.push(address);
        }
        for (address, (process, _)) in addresses.iter().zip(&mut processes) {
            // While it loads the model it answers 503, or not at all.
            wait_for(process, *address, "/health", &[], programs.kind.patience()).await?;
        }
        let mut address = addresses[0];
        if let Some(gateway) = &programs.gateway {
            let (listen, process) = put_in_front(&addresses, gateway, launch).await?;
            address = listen;
            processes.push(process);
        }
        Ok(Self {
            address,
            kind: programs.kind,
            servers: addresses,
            _processes: processes,
        })
    }

    /// Returns the sum of all servers' counters since they started.
    ///
    /// # Errors
    ///
    /// Returns an error if a server does not answer or does not have the counters.
    pub async fn counters(&self) -> io::Result<Counters> {
        let mut sum = Counters::default();
        for server in &self.servers {
            let (_, metrics) = get(*server, "/metrics").await?;
            sum += self.kind.counters(&metrics)?;
        }
        Ok(sum)
    }

    /// Returns what was counted since `before`, and waits up to ten seconds for it to be `expected`: a server
    /// counts a moment after an answer has ended.
    ///
    /// # Errors
    ///
    /// Returns an error if [`counters`](Self::counters) does.
    pub async fn settled(&self, before: Counters, expected: Counters) -> io::Result<Counters> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let counted = self.counters().await? - before;
            if counted == expected || Instant::now() > deadline {
                return Ok(counted);
            }
            sleep(Duration::from_millis(50)).await;
        }
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

/// Starts a gateway in front of these servers, and returns where it listens.
async fn put_in_front(
    servers: &[SocketAddr],
    gateway: &Path,
    launch: Launch,
) -> io::Result<(SocketAddr, (Process, TempDir))> {
    let folder = tempfile::tempdir()?;
    let setup = Setup::new(servers.to_vec(), folder.path())?;
    let mut process = Process::start(&launch(gateway, &setup), folder.path())?;
    if gateway.ends_with("smg") {
        // It adds its workers one after the other, and lists those that it has.
        let workers: Vec<_> = setup.urls().collect();
        wait_for(&mut process, setup.listen, "/workers", &workers, PATIENCE).await?;
    }
    wait_for(&mut process, setup.listen, "/v1/models", &[], PATIENCE).await?;
    Ok((setup.listen, (process, folder)))
}

/// Repeats a GET until the answer is 200 and contains all of these words.
async fn wait_for(
    process: &mut Process,
    address: SocketAddr,
    path: &str,
    words: &[String],
    patience: Duration,
) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        process.check()?;
        let answer = get(address, path).await;
        let is_there = |text: &String| words.iter().all(|word| text.contains(word));
        if matches!(&answer, Ok((StatusCode::OK, text)) if is_there(text)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let output = process.last_lines();
            return Err(io::Error::other(format!(
                "GET {path} is not answered as expected in time: {answer:?}\n{output}"
            )));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn get(address: SocketAddr, path: &str) -> io::Result<(StatusCode, String)> {
    let uri = format!("http://{address}{path}");
    let response = bare_client()
        .get(uri.parse().map_err(io::Error::other)?)
        .await;
    let (head, body) = response.map_err(io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok((head.status, String::from_utf8_lossy(&body).into_owned()))
}

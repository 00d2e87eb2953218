//! The gateway's process, as the driver sees it.

use std::io;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use clap::ValueEnum as _;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::plant::Plant;

/// How long the process may take to start, and again to exit.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    child: Child,
    /// Closing it ends the gateway.
    input: Option<ChildStdin>,
    panics: JoinHandle<u64>,
}

impl Gateway {
    /// Starts this program as the gateway in front of these replicas.
    pub(crate) async fn start(replicas: &[SocketAddr], plant: Option<Plant>) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("gateway");
        command.args(replicas.iter().map(SocketAddr::to_string));
        if let Some(plant) = plant.and_then(|plant| plant.to_possible_value()) {
            command.args(["--plant", plant.get_name()]);
        }
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn()?;
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("the output of the gateway is not piped"));
        };
        let mut lines = BufReader::new(output).lines();
        let line = timeout(PATIENCE, lines.next_line()).await??;
        Ok(Self {
            address: line.unwrap_or_default().parse().map_err(io::Error::other)?,
            pid: child.id().unwrap_or_default(),
            input: child.stdin.take(),
            child,
            panics: tokio::spawn(count_panics(errors)),
        })
    }

    /// Waits for the gateway to exit on its own, which is a fault.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends the gateway as it would end if the driver died; returns its status and its panics.
    pub(crate) async fn end(mut self) -> io::Result<(ExitStatus, u64)> {
        drop(self.input);
        let status = timeout(PATIENCE, self.child.wait()).await??;
        Ok((status, self.panics.await?))
    }
}

/// Counts the gateway's panics, and prints its standard error up to the second one.
async fn count_panics(errors: impl AsyncRead + Unpin) -> u64 {
    let mut lines = BufReader::new(errors).lines();
    let mut panics = 0;
    while let Ok(Some(line)) = lines.next_line().await {
        let panicked = line.contains("panicked at");
        panics += u64::from(panicked);
        if panics <= 1 {
            eprintln!("gateway: {line}");
        }
    }
    panics
}

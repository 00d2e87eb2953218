//! A run: starts the gateway and its replicas, sends the load, and collects the findings.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::args::Args;
use crate::child::Gateway;
use crate::ledger::Ledger;
use crate::memory::{Process, Samples};
use crate::plan::Protocol;
use crate::progress::Progress;
use crate::replica::{Presence, Replica, kill_periodically};
use crate::tally::Tally;
use crate::worker::Worker;

/// Half of these speak HTTP/1.1 and half HTTP/2.
pub(crate) const CONNECTIONS: usize = 64;

pub(crate) const REPLICAS: usize = 3;

/// How long the gateway and the replicas may take to release everything after the load.
const REST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Findings {
    /// The value of `--requests`.
    pub(crate) most: Option<u64>,
    pub(crate) elapsed: Duration,
    pub(crate) tally: Tally,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) restarts: u64,
    /// Requests that the replicas worked on long after their callers had gone.
    pub(crate) orphaned: u64,
    /// Resident memory before the load, in KiB.
    pub(crate) before: u64,
    pub(crate) memory: Samples,
    pub(crate) peak: u64,
    pub(crate) descriptors: Descriptors,
    pub(crate) status: ExitStatus,
    pub(crate) panics: u64,
}

/// How many file descriptors the gateway has open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptors {
    pub(crate) before: usize,
    /// After the load, while the replicas are up.
    pub(crate) idle: usize,
    /// After the replicas have ended.
    pub(crate) after: usize,
}

/// The state at the end of the load.
#[derive(Debug)]
struct Load {
    tally: Tally,
    elapsed: Duration,
    memory: Samples,
    restarts: u64,
    replicas: Vec<Replica>,
}

#[tokio::main]
pub(crate) async fn run(args: &Args) -> Result<Findings, Box<dyn Error>> {
    let ledger = Arc::new(Ledger::default());
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(Replica::start(ledger.clone()).await?);
    }
    let addresses: Vec<_> = replicas.iter().map(|replica| replica.address).collect();
    let mut gateway = Gateway::start(&addresses, args.plant).await?;
    let process = Process::new(gateway.pid);
    let (before, descriptors) = (process.resident()?, process.descriptors()?);

    let load = tokio::select! {
        load = load(args, gateway.address, &process, replicas) => load?,
        status = gateway.ended() => return Err(format!("the gateway exited during the load with {}", status?).into()),
    };
    // Count first: ending the replicas ends their requests.
    let orphaned = orphaned(&ledger).await?;
    let descriptors = end_replicas(&process, load.replicas, descriptors).await?;
    let peak = process.peak()?;
    let (status, panics) = gateway.end().await?;
    Ok(Findings {
        most: args.requests,
        elapsed: load.elapsed,
        tally: load.tally,
        ledger,
        restarts: load.restarts,
        orphaned,
        before,
        memory: load.memory,
        peak,
        descriptors,
        status,
        panics,
    })
}

async fn load(
    args: &Args,
    gateway: SocketAddr,
    process: &Process,
    mut replicas: Vec<Replica>,
) -> Result<Load, Box<dyn Error>> {
    let mut rng = Rng::with_seed(args.seed);
    let (end, ended) = watch::channel(());
    let progress = Progress::begin(process.clone(), args.longest(), args.requests);
    let progress = Arc::new(progress);
    let presences: Vec<_> = replicas
        .iter()
        .map(|replica| replica.presence.clone())
        .collect();
    let workers = start_workers(args, gateway, &presences, &progress, &mut rng);
    let kills = tokio::spawn(async move {
        let restarts = kill_periodically(&mut replicas, rng, ended).await;
        restarts.map(|restarts| (restarts, replicas))
    });
    let tally = join(workers).await?;
    let elapsed = progress.elapsed();
    drop(end);
    let (restarts, replicas) = kills.await??;
    Ok(Load {
        tally,
        elapsed,
        memory: progress.samples(),
        restarts,
        replicas,
    })
}

async fn orphaned(ledger: &Ledger) -> io::Result<u64> {
    let running = || ledger.running.load(Ordering::Relaxed);
    until(|| Ok(running() == 0)).await?;
    Ok(running() + ledger.orphaned.load(Ordering::Relaxed))
}

/// Ends the replicas, and waits for the gateway to close its connections to them.
async fn end_replicas(
    process: &Process,
    replicas: Vec<Replica>,
    before: usize,
) -> io::Result<Descriptors> {
    let idle = process.descriptors()?;
    for mut replica in replicas {
        replica.kill().await?;
    }
    until(|| Ok(process.descriptors()? <= before)).await?;
    Ok(Descriptors {
        before,
        idle,
        after: process.descriptors()?,
    })
}

fn start_workers(
    args: &Args,
    gateway: SocketAddr,
    replicas: &[Presence],
    progress: &Arc<Progress>,
    rng: &mut Rng,
) -> JoinSet<Tally> {
    let mut workers = JoinSet::new();
    for index in 0..CONNECTIONS {
        let worker = Worker {
            protocol: [Protocol::Http1, Protocol::Http2][index % 2],
            gateway,
            replicas: replicas.to_vec(),
            rng: rng.fork(),
            pace: args.pace,
            patience: args.patience(),
            progress: progress.clone(),
            tally: Tally::default(),
        };
        workers.spawn(worker.run());
    }
    workers
}

async fn join(mut workers: JoinSet<Tally>) -> Result<Tally, Box<dyn Error>> {
    let mut tally = Tally::default();
    while let Some(worker) = workers.join_next().await {
        tally.merge(worker?);
    }
    Ok(tally)
}

/// Waits until the condition holds, for at most [`REST`].
async fn until(mut holds: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let end = Instant::now() + REST;
    while !holds()? && Instant::now() < end {
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

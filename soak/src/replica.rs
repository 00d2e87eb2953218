//! The servers behind the gateway, which are killed and come back at the same address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::answer::answer;
use crate::ledger::Ledger;

/// Connections come from 127.0.0.1, so that none of them takes the port of a replica that is away.
const LISTEN: &str = "127.0.0.2:0";

/// How long a replica waits for its port.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says whether a replica was there all the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presence(Arc<AtomicU64>);

#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    pub(crate) presence: Presence,
    ledger: Arc<Ledger>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Replica {
    pub(crate) async fn start(ledger: Arc<Ledger>) -> io::Result<Self> {
        let listener = TcpListener::bind(LISTEN).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        Ok(Self {
            address,
            presence: Presence::default(),
            task: tokio::spawn(serve(listener, ledger.clone(), true, stopped)),
            ledger,
            stop,
        })
    }

    /// Closes the port and every connection.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        self.presence.toggle();
        // Its receiver hears of a sender that is gone.
        self.stop = oneshot::channel().0;
        Ok((&mut self.task).await?)
    }

    /// Listens again; at its next end, connections are reset where `reset` is set, and closed where not.
    pub(crate) async fn restart(&mut self, reset: bool) -> io::Result<()> {
        let listener = timeout(PATIENCE, bind(self.address)).await?;
        let (stop, stopped) = oneshot::channel();
        self.stop = stop;
        self.task = tokio::spawn(serve(listener, self.ledger.clone(), reset, stopped));
        self.presence.toggle();
        Ok(())
    }
}

impl Presence {
    fn toggle(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns a number that is even while the replica is there, and another one after each change.
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn lasted(&self, since: u64) -> bool {
        since % 2 == 0 && self.now() == since
    }
}

/// Kills one replica every few seconds and restarts it, until `end`; returns how often.
pub(crate) async fn kill_at_times(
    replicas: &mut [Replica],
    mut rng: Rng,
    mut end: watch::Receiver<()>,
) -> io::Result<u64> {
    let mut restarts = 0;
    loop {
        let there = Duration::from_millis(rng.u64(1_000..3_000));
        // An error is an end, too.
        if timeout(there, end.changed()).await.is_ok() {
            return Ok(restarts);
        }
        let index = rng.usize(0..replicas.len());
        replicas[index].kill().await?;
        // Long enough for the gateway to notice, so that from its return on the replica must be reached.
        sleep(Duration::from_millis(rng.u64(500..1_500))).await;
        replicas[index].restart(rng.bool()).await?;
        restarts += 1;
    }
}

async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(
    listener: TcpListener,
    ledger: Arc<Ledger>,
    reset: bool,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(serve_connection(stream, ledger.clone(), reset));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve_connection(stream: TcpStream, ledger: Arc<Ledger>, reset: bool) {
    if stream.set_nodelay(true).is_err() || (reset && stream.set_zero_linger().is_err()) {
        return;
    }
    let service = service_fn(move |request| answer(request, ledger.clone()));
    // An error is what the run is for.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

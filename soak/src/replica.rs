//! The replicas behind the gateway, which are killed and restarted at the same address.

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

/// Not 127.0.0.1: outgoing connections use that one, and could take the port of a replica that is down.
const LISTEN: &str = "127.0.0.2:0";

/// How long a restarted replica waits for its port.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells whether a replica was up without a break.
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

    /// Closes the port and all connections.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        self.presence.toggle();
        // Dropping the old sender wakes its receiver.
        self.stop = oneshot::channel().0;
        Ok((&mut self.task).await?)
    }

    /// Listens again. The next kill resets its connections if `reset` is set, and closes them if not.
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

    /// Returns a number that grows with each change, and is even while the replica is up.
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Returns whether the replica was up at that number, and has been since.
    pub(crate) fn has_lasted(&self, since: u64) -> bool {
        since % 2 == 0 && self.now() == since
    }
}

/// Kills and restarts a random replica every few seconds until `end`; returns how often.
pub(crate) async fn kill_periodically(
    replicas: &mut [Replica],
    mut rng: Rng,
    mut end: watch::Receiver<()>,
) -> io::Result<u64> {
    let mut restarts = 0;
    loop {
        let up = Duration::from_millis(rng.u64(1_000..3_000));
        // The channel changes or its sender is dropped: both are the end.
        if timeout(up, end.changed()).await.is_ok() {
            return Ok(restarts);
        }
        let index = rng.usize(0..replicas.len());
        replicas[index].kill().await?;
        // Long enough for the gateway to notice. It must reach the replica once that is up again.
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
    // Errors are expected: callers cancel and abort requests.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

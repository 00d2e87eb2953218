//! Sends requests over one of the 64 connections, round after round.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::connection::Connection;
use crate::exchange::exchange;
use crate::outcome::Outcome;
use crate::plan::{Plan, Protocol};
use crate::progress::Progress;
use crate::replica::Presence;
use crate::tally::Tally;

/// Concurrent requests on an HTTP/2 connection.
const STREAMS: u32 = 4;

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) protocol: Protocol,
    pub(crate) gateway: SocketAddr,
    pub(crate) replicas: Vec<Presence>,
    pub(crate) rng: Rng,
    /// The most requests per second.
    pub(crate) pace: u32,
    pub(crate) patience: Duration,
    pub(crate) progress: Arc<Progress>,
    pub(crate) tally: Tally,
}

impl Worker {
    pub(crate) async fn run(mut self) -> Tally {
        let at_once = match self.protocol {
            Protocol::Http1 => 1,
            Protocol::Http2 => STREAMS,
        };
        let mut rounds = interval(Duration::from_secs(1) * at_once / self.pace);
        // A late round is not made up for, so that the load stays bounded.
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut connection = None;
        while !self.progress.is_over() {
            rounds.tick().await;
            connection = self.round(at_once, connection).await;
        }
        self.tally
    }

    /// Draws `at_once` requests and sends them concurrently over the shared connection.
    ///
    /// A request that may close its connection gets one of its own.
    async fn round(&mut self, at_once: u32, shared: Option<Connection>) -> Option<Connection> {
        let plans =
            (0..at_once).map(|_| Plan::draw(&mut self.rng, self.protocol, self.replicas.len()));
        let (alone, together): (Vec<_>, Vec<_>) =
            plans.partition(|plan| plan.kind.may_close_the_connection());
        let shared = self.send(together, shared).await;
        for plan in alone {
            self.send(vec![plan], None).await;
        }
        shared
    }

    /// Returns the connection if it can be used again.
    async fn send(
        &mut self,
        mut plans: Vec<Plan>,
        connection: Option<Connection>,
    ) -> Option<Connection> {
        let since: Vec<_> = self.replicas.iter().map(Presence::now).collect();
        let connection = self.open(connection).await;
        let outcomes = join_all(plans.iter_mut().map(async |plan| {
            match &connection {
                Ok(connection) => timeout(self.patience, exchange(plan, connection.sender.clone()))
                    .await
                    .unwrap_or(Outcome::Hung),
                Err(error) => error.clone(),
            }
        }))
        .await;
        for (plan, outcome) in plans.iter().zip(&outcomes) {
            let was_up = self.replicas[plan.replica].has_lasted(since[plan.replica]);
            self.tally.add(plan, outcome, was_up);
            self.progress.add();
        }
        let mut connection = connection.ok()?;
        let usable = timeout(self.patience, connection.is_reusable_after(&outcomes)).await;
        usable.is_ok_and(|usable| usable).then_some(connection)
    }

    async fn open(&self, connection: Option<Connection>) -> Result<Connection, Outcome> {
        if let Some(connection) = connection {
            return Ok(connection);
        }
        let opened = timeout(self.patience, Connection::open(self.gateway, self.protocol));
        let opened = opened.await.map_err(|_| Outcome::Hung)?;
        opened.map_err(|error| Outcome::Wrong(format!("cannot connect to the gateway: {error}")))
    }
}

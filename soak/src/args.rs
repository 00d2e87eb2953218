//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::plant::Plant;

/// Runs the example gateway under load and injected faults, and fails if it misbehaves.
///
/// The gateway runs in its own process, in front of three replicas that are killed and restarted.
/// `docs/soak.md` explains the tables that are printed.
///
/// Exit codes: 0 no faults, 1 faults found or the run failed, 2 bad usage.
#[derive(Debug, Parser)]
#[command(max_term_width = 100, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Longest time to send requests, in minutes
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,

    /// Longest time to send requests, in seconds
    #[arg(long, value_name = "N", conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(3..=86_400))]
    seconds: Option<u64>,

    /// Stop after this many requests; it is a fault if time runs out first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) requests: Option<u64>,

    /// Most requests per second on each of the 64 connections
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) pace: u32,

    /// Seconds after which a request counts as hung
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    patience: u64,

    /// Seed for the kinds of requests, their keys and the times of the kills
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Plant this fault in the gateway, to check that the run finds it
    #[arg(long, value_name = "FAULT", global = true)]
    pub(crate) plant: Option<Plant>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run only the gateway, until its standard input is closed
    #[command(hide = true)]
    Gateway {
        #[arg(required = true)]
        upstreams: Vec<SocketAddr>,
    },
}

impl Args {
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(self.minutes * 60))
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

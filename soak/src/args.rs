//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::plant::Plant;

/// Puts the gateway of the example under load and faults, and fails where it does not stand them.
///
/// The gateway runs in a process of its own, before three replicas that are killed and restarted.
/// What is printed is the table of `docs/soak.md`.
///
/// Exit codes: 0 the gateway stood everything, 1 it did not or the run failed, 2 bad usage.
#[derive(Debug, Parser)]
#[command(max_term_width = 100, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// How long requests are sent at most
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,

    /// The same in seconds
    #[arg(long, value_name = "N", conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(3..=86_400))]
    seconds: Option<u64>,

    /// How many requests are sent; it is a fault if the time is too short for them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) requests: Option<u64>,

    /// The most requests a second of each of the 64 connections
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) pace: u32,

    /// Seconds after which a request counts as hung
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    patience: u64,

    /// What the kinds of the requests, their keys and the moments of the kills come from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// A fault to put into the gateway, to see that it is found
    #[arg(long, value_name = "FAULT", global = true)]
    pub(crate) plant: Option<Plant>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The gateway alone, until its standard input ends
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

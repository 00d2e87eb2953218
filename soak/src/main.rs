//! Runs the example gateway under load and injected faults, and fails if it misbehaves.
//!
//! Each module uses only modules from lower lines:
//!
//! ```text
//! main
//! report  under_test
//! run
//! args  child  worker
//! exchange  plant  progress  replica  tally
//! answer  connection  raw
//! ledger  memory  plan
//! keys  outcome  wire
//! ```

mod answer;
mod args;
mod child;
mod connection;
mod exchange;
mod keys;
mod ledger;
mod memory;
mod outcome;
mod plan;
mod plant;
mod progress;
mod raw;
mod replica;
mod report;
mod run;
mod tally;
mod under_test;
mod wire;
mod worker;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command};
use run::CONNECTIONS;

fn main() -> ExitCode {
    soak(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn soak(args: &Args) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(Command::Gateway { upstreams }) = &args.command {
        under_test::serve(upstreams, args.plant)?;
        return Ok(ExitCode::SUCCESS);
    }
    let requests = args
        .requests
        .map(|requests| format!("{requests} requests within "));
    println!(
        "{}{} s, {CONNECTIONS} connections, at most {} requests per second on each, seed {}\n",
        requests.unwrap_or_default(),
        args.longest().as_secs(),
        args.pace,
        args.seed
    );
    let findings = run::run(args)?;
    println!("{findings}");
    let faults = findings.faults();
    for fault in &faults {
        println!("fault: {fault}");
    }
    if faults.is_empty() {
        println!("no faults");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

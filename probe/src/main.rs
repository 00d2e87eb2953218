//! Tells whether an endpoint honours a session-affinity header, and what it gains.

mod answer;
mod args;
mod cache;
mod chart;
mod chunk;
mod client;
mod consent;
mod conversation;
mod failure;
mod gateway;
mod json;
mod measure;
mod pairs;
mod progress;
mod replica;
mod report;
mod run;
mod secret;
mod server;
mod simulation;
mod sse;
mod stats;
mod summary;
mod verdict;

use std::error::Error;
use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use http::Uri;

use args::Args;
use client::Client;
use conversation::Arm;
use measure::Record;
use report::{Report, grouped};
use run::Ended;
use secret::ApiKey;
use summary::Summary;
use verdict::{FEWEST, Verdict};

/// The endpoint gave nothing to measure, or stopped to.
const FAILED: u8 = 1;
/// Nothing was sent, since the command line does not say how.
const BAD_USAGE: u8 = 2;
/// 128 and the number of the signal, as shells have it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let args = Args::parse();
    let (endpoint, api_key) = match prepare(&args) {
        Ok(prepared) => prepared,
        Err(error) => return fail(BAD_USAGE, &error),
    };
    probe(&args, endpoint, api_key).unwrap_or_else(|error| fail(FAILED, &error))
}

fn fail(code: u8, error: &dyn Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(code)
}

/// Checks what can be checked before anything is sent.
fn prepare(args: &Args) -> Result<(Option<Uri>, ApiKey), Box<dyn Error>> {
    let endpoint = args.endpoint()?;
    let api_key = args
        .api_key_env
        .as_deref()
        .map_or(Ok(ApiKey::NONE), ApiKey::from_env)?;
    if (args.conversations as usize) < FEWEST {
        eprintln!(
            "A verdict takes at least {FEWEST} conversations; this run will end without one."
        );
    }
    if let Some(endpoint) = &endpoint {
        consent::ask(args, endpoint)?;
    }
    for path in [&args.json, &args.svg].into_iter().flatten() {
        let opened = OpenOptions::new().create(true).append(true).open(path);
        opened.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok((endpoint, api_key))
}

/// Runs the experiment and tells its result.
fn probe(args: &Args, endpoint: Option<Uri>, api_key: ApiKey) -> Result<ExitCode, Box<dyn Error>> {
    // One thread is enough to wait on, and leaves the others to what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (endpoint, mut records, ended) = runtime.block_on(async {
        let (endpoint, run) = match endpoint {
            // The simulation is cold in each run, and repeats.
            None => (simulation::start(args.replicas).await?, 0),
            Some(endpoint) => (endpoint, fastrand::u64(..)),
        };
        let client = Client::new(args, endpoint.clone(), api_key)?;
        let (records, ended) = run::run(args, &client, run).await;
        Ok::<_, Box<dyn Error>>((endpoint, records, ended))
    })?;
    tell(args, &endpoint, &mut records, &ended)?;
    Ok(conclude(&records, &ended))
}

/// Prints the report, if there is something to report, and writes the files.
fn tell(
    args: &Args,
    endpoint: &Uri,
    records: &mut [Record],
    ended: &Ended,
) -> Result<(), Box<dyn Error>> {
    let omitted = summary::count_omitted(records);
    let arms = Arm::BOTH.map(|arm| Summary::of(arm, records));
    let verdict = Verdict::of(records, &arms, &args.header_name, args.seed);
    let subject = subject(args, endpoint);
    let report = Report {
        subject: &subject,
        arms: &arms,
        verdict: &verdict,
        ended,
        omitted,
    };
    if records.iter().any(|record| record.failure.is_none()) {
        // A reader that has seen enough, such as `head`, is no failure.
        let _ = write!(io::stdout(), "{report}");
    }
    if let Some(path) = &args.json {
        let endpoint = client::shown(endpoint);
        fs::write(
            path,
            json::document(args, &endpoint, ended, &verdict, &arms, records)?,
        )?;
    }
    if let Some(path) = &args.svg {
        fs::write(path, chart::draw(&arms, &title(args, endpoint, &arms))?)?;
    }
    Ok(())
}

fn conclude(records: &[Record], ended: &Ended) -> ExitCode {
    let mut failures = records.iter().rev().map(|record| record.failure.as_ref());
    let none_measured = failures.clone().all(|failure| failure.is_some());
    match ended {
        Ended::Failed(failure) => fail(FAILED, failure),
        Ended::Interrupted => ExitCode::from(INTERRUPTED),
        Ended::Complete => match failures.next().flatten() {
            Some(failure) if none_measured => fail(FAILED, failure),
            _ => ExitCode::SUCCESS,
        },
    }
}

fn subject(args: &Args, endpoint: &Uri) -> String {
    let size = format!(
        "{} conversations of {} turns in each arm, {} requests at once, key in {}",
        args.conversations, args.turns, args.concurrency, args.header_name,
    );
    if args.url.is_some() {
        return format!("{}\n{size}", client::shown(endpoint));
    }
    let tokens = replica::CACHE_BLOCKS.get() * cache::BLOCK_TOKENS;
    format!(
        "Simulated on this machine: {} replica{} behind a gateway that hashes x-session-affinity.\n\
         There is no model: a word is a token, a replica takes {} µs to read one that is not in\n\
         its cache, and keeps {} tokens there.\n{size}",
        args.replicas,
        plural(args.replicas),
        replica::PREFILL.as_micros(),
        grouped(tokens as u64),
    )
}

const fn plural(number: u32) -> &'static str {
    if number == 1 { "" } else { "s" }
}

fn title(args: &Args, endpoint: &Uri, arms: &[Summary; 2]) -> String {
    if arms.iter().all(|arm| arm.tokens.prompt == 0) {
        return "No cached tokens were reported".to_owned();
    }
    match &args.url {
        None => format!(
            "Cached share by turn, {} simulated replica{}",
            args.replicas,
            plural(args.replicas)
        ),
        Some(_) => format!(
            "Cached share by turn, {}",
            endpoint.host().unwrap_or_default()
        ),
    }
}

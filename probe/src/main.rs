//! Tells whether an endpoint honors a session-affinity key, under which name, and what it gains.

mod answer;
mod args;
mod client;
mod consent;
mod conversation;
mod corpus;
mod counting;
mod dialect;
mod exit;
mod extra;
mod failure;
mod hint;
mod known;
mod measure;
mod plan;
mod price;
mod progress;
mod report;
mod run;
mod secret;
mod simulation;
mod summary;
mod tell;
mod usage;
mod variant;
mod verdict;

use std::error::Error;
use std::fs::OpenOptions;
use std::process::ExitCode;

use clap::Parser;
use http::Uri;

use args::Args;
use client::{Access, Client};
use dialect::Api;
use exit::{BAD_USAGE, FAILED, conclude, fail};
use extra::Extra;
use plan::Plan;
use secret::{ApiKey, Secrets};

fn main() -> ExitCode {
    let args = Args::parse();
    let (endpoint, access, plan) = match prepare(&args) {
        Ok(prepared) => prepared,
        Err(error) => return fail(BAD_USAGE, &error),
    };
    probe(&args, endpoint, access, &plan).unwrap_or_else(|error| fail(FAILED, &error))
}

/// Checks the arguments and asks for confirmation, before anything is sent.
fn prepare(args: &Args) -> Result<(Option<Uri>, Access, Plan), Box<dyn Error>> {
    let endpoint = args.endpoint()?;
    let api_key = args
        .api_key_env
        .as_deref()
        .map_or(Ok(ApiKey::NONE), ApiKey::from_env)?;
    let api = args
        .api
        .or(endpoint.as_ref().map(Api::of))
        .unwrap_or(Api::Chat);
    let dialect = api.dialect();
    let plan = Plan::new(args, endpoint.as_ref(), dialect)?;
    let mut secrets = Secrets::default();
    secrets.add_key(&api_key);
    let extra = Extra::new(args, dialect, &plan.variants, &mut secrets)?;
    if let Some(endpoint) = &endpoint {
        secrets.add_query(endpoint);
        consent::ask(args, &plan, endpoint)?;
    }
    for path in [&args.json, &args.markdown, &args.svg]
        .into_iter()
        .flatten()
    {
        let opened = OpenOptions::new().create(true).append(true).open(path);
        opened.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok((
        endpoint,
        Access {
            dialect,
            api_key,
            extra,
            secrets,
        },
        plan,
    ))
}

/// Runs the experiment and reports its result.
fn probe(
    args: &Args,
    endpoint: Option<Uri>,
    access: Access,
    plan: &Plan,
) -> Result<ExitCode, Box<dyn Error>> {
    // One thread is enough to wait on, and leaves the other cores to the endpoint.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (endpoint, mut ran) = runtime.block_on(async {
        let (endpoint, run) = match endpoint {
            // The simulation starts cold, so its runs can use the same prompts.
            None => (simulation::start(args.replicas).await?, 0),
            Some(endpoint) => (endpoint, fastrand::u64(..)),
        };
        let client = Client::new(args, endpoint.clone(), access, plan.variants.clone())?;
        Ok::<_, Box<dyn Error>>((endpoint, run::run(plan, &client, run).await))
    })?;
    let verdict = tell::tell(args, plan, &endpoint, &mut ran)?;
    Ok(conclude(args, &ran.records, &ran.ended, &verdict))
}

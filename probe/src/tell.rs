//! The result of a run, printed and written to files.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use http::Uri;
use terminal_size::{Width, terminal_size_of};

use crate::args::Args;
use crate::client::shown;
use crate::counting::{Counted, count};
use crate::measure::Record;
use crate::plan::Plan;
use crate::price::Prices;
use crate::report::{self, Document, Level, Report, Sweep, grouped};
use crate::run::Ran;
use crate::simulation;
use crate::summary::Summary;
use crate::verdict::{Evidence, Verdict};

/// Prints the report, if any request succeeded, and writes the files.
pub(crate) fn tell(
    args: &Args,
    plan: &Plan,
    endpoint: &Uri,
    ran: &mut Ran,
) -> Result<Verdict, Box<dyn Error>> {
    let counted = count(&mut ran.records);
    let (levels, mut verdicts): (Vec<_>, Vec<_>) = plan
        .levels
        .iter()
        .map(|concurrency| judge(args, plan, ran, counted, *concurrency))
        .unzip();
    // The verdict is that of the lowest concurrency; the others only show the effect of load.
    let verdict = verdicts.swap_remove(0);
    let sweep = (levels.len() > 1).then(|| Sweep::new(levels.clone()));
    let summaries = &levels[0].summaries;
    let report = Report {
        subject: &subject(args, plan, endpoint),
        summaries,
        verdict: &verdict,
        sweep: sweep.as_ref(),
        ended: &ran.ended,
        counted,
        width: width(),
    };
    if ran.records.iter().any(|record| record.failure.is_none()) {
        // A reader that closes the pipe early, such as `head`, is not a failure.
        let _ = write!(io::stdout(), "{report}");
    }
    if let Some(path) = &args.markdown {
        write(path, &report::markdown(&report))?;
    }
    if let Some(path) = &args.json {
        let document = report::document(&Document {
            args,
            plan,
            endpoint: &shown(endpoint),
            ended: &ran.ended,
            verdict: &verdict,
            summaries,
            sweep: sweep.as_ref(),
            records: &ran.records,
        });
        write(path, &document?)?;
    }
    if let Some(path) = &args.svg {
        write(
            path,
            &report::draw(summaries, &title(args, endpoint, summaries))?,
        )?;
    }
    Ok(verdict)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Summarizes and judges what was measured at one concurrency.
fn judge(
    args: &Args,
    plan: &Plan,
    ran: &Ran,
    counted: Counted,
    concurrency: u32,
) -> (Level, Verdict) {
    let of_level = |record: &&Record| record.concurrency == concurrency;
    let records: Vec<_> = ran.records.iter().filter(of_level).cloned().collect();
    let mut summaries = Summary::all(&plan.variants, &records);
    if let Some(prices) = Prices::new(args) {
        prices.apply(&mut summaries, &records);
    }
    let evidence = Evidence {
        records: &records,
        summaries: &summaries,
        variants: &plan.variants,
        refused: &ran.refused,
        counted,
        seed: plan.seed,
    };
    let (verdict, times) = (Verdict::of(&evidence), evidence.times());
    (
        Level {
            concurrency,
            summaries,
            times,
        },
        verdict,
    )
}

/// Returns the width of the terminal, if the report is printed on one.
fn width() -> Option<usize> {
    let (Width(columns), _) = terminal_size_of(io::stdout())?;
    Some(usize::from(columns).max(40))
}

fn subject(args: &Args, plan: &Plan, endpoint: &Uri) -> String {
    let levels: Vec<_> = plan.levels.iter().map(u32::to_string).collect();
    let what = if plan.recorded.is_empty() {
        "conversations"
    } else {
        "recorded conversations"
    };
    let size = format!(
        "{} {what} of {}{} turns per variant, concurrency {},\nkey in {}",
        plan.conversations,
        if plan.recorded.is_empty() {
            ""
        } else {
            "up to "
        },
        plan.turns,
        levels.join(", then "),
        plan.variants.list(),
    );
    if args.url.is_some() {
        return format!("{}\n{size}", shown(endpoint));
    }
    format!(
        "Simulation on this machine: {} replica{} behind a gateway that hashes\n\
         x-session-affinity. There is no model: a word is a token, an uncached token\n\
         takes {} µs to read, and a replica caches up to {} tokens.\n{size}",
        args.replicas,
        plural(args.replicas),
        simulation::PREFILL.as_micros(),
        grouped(simulation::CACHE_TOKENS as u64),
    )
}

const fn plural(number: u32) -> &'static str {
    if number == 1 { "" } else { "s" }
}

fn title(args: &Args, endpoint: &Uri, summaries: &[Summary]) -> String {
    if summaries.iter().all(|summary| summary.tokens.prompt == 0) {
        return "No cached tokens were reported".to_owned();
    }
    match &args.url {
        None => {
            let replicas = args.replicas;
            format!(
                "Cached share by turn, {replicas} simulated replica{}",
                plural(replicas)
            )
        }
        Some(_) => format!(
            "Cached share by turn, {}",
            endpoint.host().unwrap_or_default()
        ),
    }
}

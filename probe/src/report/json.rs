//! The result and every request, as JSON.

use serde::Serialize;

use super::sweep::{Level, Sweep};
use crate::args::Args;
use crate::measure::Record;
use crate::plan::Plan;
use crate::run::Ended;
use crate::summary::Summary;
use crate::verdict::Verdict;

/// The contents of the document.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    pub(crate) args: &'a Args,
    pub(crate) plan: &'a Plan,
    pub(crate) endpoint: &'a str,
    pub(crate) ended: &'a Ended,
    pub(crate) verdict: &'a Verdict,
    pub(crate) summaries: &'a [Summary],
    pub(crate) sweep: Option<&'a Sweep>,
    pub(crate) records: &'a [Record],
}

/// The document. Fields may be added at any time, and changed only in a major version.
#[derive(Debug, Serialize)]
struct Json<'a> {
    tool: &'static str,
    version: &'static str,
    simulated: bool,
    endpoint: &'a str,
    model: Option<&'a str>,
    /// The headers and body fields that were tried.
    names: Vec<String>,
    conversations: u32,
    turns: u32,
    concurrency: &'a [u32],
    prefix_tokens: u32,
    max_tokens: u32,
    seed: u64,
    ended: &'static str,
    verdict: &'a Verdict,
    variants: &'a [Summary],
    levels: &'a [Level],
    requests: Vec<Request<'a>>,
}

#[derive(Debug, Serialize)]
struct Request<'a> {
    variant: String,
    #[serde(flatten)]
    record: &'a Record,
}

/// Writes the document.
pub(crate) fn document(of: &Document<'_>) -> serde_json::Result<String> {
    let Document { args, plan, .. } = of;
    let names: Vec<_> = plan
        .variants
        .carriers()
        .iter()
        .map(ToString::to_string)
        .collect();

    let requests = of.records.iter().map(|record| Request {
        variant: plan.variants.id(record.variant),
        record,
    });
    serde_json::to_string_pretty(&Json {
        tool: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        simulated: args.url.is_none(),
        endpoint: of.endpoint,
        model: args.model.as_deref(),
        names,
        conversations: plan.conversations,
        turns: plan.turns,
        concurrency: &plan.levels,
        prefix_tokens: plan.prefix_tokens,
        max_tokens: plan.max_tokens,
        seed: plan.seed,
        ended: match of.ended {
            Ended::Complete => "complete",
            Ended::Interrupted => "interrupted",
            Ended::Failed(_) => "failed",
        },
        verdict: of.verdict,
        variants: of.summaries,
        levels: of.sweep.map_or(&[], |sweep| &sweep.levels),
        requests: requests.collect(),
    })
}

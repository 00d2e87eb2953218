//! Every request and the result, as JSON.

use serde::Serialize;

use crate::args::Args;
use crate::measure::Record;
use crate::run::Ended;
use crate::summary::Summary;
use crate::verdict::Verdict;

/// The document; a field is added at will and changed only with the major version.
#[derive(Debug, Serialize)]
struct Document<'a> {
    tool: &'static str,
    version: &'static str,
    simulated: bool,
    endpoint: &'a str,
    model: Option<&'a str>,
    header_name: &'a str,
    conversations: u32,
    turns: u32,
    concurrency: u32,
    prefix_tokens: u32,
    max_tokens: u32,
    seed: u64,
    ended: &'static str,
    verdict: &'a Verdict,
    arms: &'a [Summary; 2],
    requests: &'a [Record],
}

/// Writes the document.
pub(crate) fn document(
    args: &Args,
    endpoint: &str,
    ended: &Ended,
    verdict: &Verdict,
    arms: &[Summary; 2],
    requests: &[Record],
) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Document {
        tool: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        simulated: args.url.is_none(),
        endpoint,
        model: args.model.as_deref(),
        header_name: args.header_name.as_str(),
        conversations: args.conversations,
        turns: args.turns,
        concurrency: args.concurrency,
        prefix_tokens: args.prefix_tokens,
        max_tokens: args.max_tokens,
        seed: args.seed,
        ended: match ended {
            Ended::Complete => "complete",
            Ended::Interrupted => "interrupted",
            Ended::Failed(_) => "failed",
        },
        verdict,
        arms,
        requests,
    })
}

//! Several numbers of requests at once: where affinity begins to hurt.

use serde::Serialize;

use super::table::Table;
use super::{ms, share};
use crate::summary::Summary;
use crate::verdict::{Finding, Judged};

/// How much longer the slowest tenth has to wait before that is worth a word.
const LONGER: f64 = 1.5;
const LONGER_MS: f64 = 20.0;

/// One number of requests at once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Level {
    pub(crate) concurrency: u32,
    #[serde(rename = "arms")]
    pub(crate) summaries: Vec<Summary>,
    /// What is found by the time to the first token.
    #[serde(skip)]
    pub(crate) times: Vec<Judged>,
}

/// All of them, and what they show.
#[derive(Clone, Debug)]
pub(crate) struct Sweep {
    pub(crate) levels: Vec<Level>,
    pub(crate) sentence: String,
}

impl Sweep {
    pub(crate) fn new(levels: Vec<Level>) -> Self {
        let sentence = sentence(&levels);
        Self { levels, sentence }
    }

    /// A column for each number of requests, and rows for each variant.
    pub(super) fn table(&self) -> Table {
        let mut rows = vec![];
        let variants = self.levels.first().map_or(0, |level| level.summaries.len());
        for variant in 0..variants {
            let row = |name: &str, cell: &dyn Fn(&Summary) -> String| {
                let cells = self
                    .levels
                    .iter()
                    .map(|level| cell(&level.summaries[variant]));
                (name.to_owned(), cells.collect::<Vec<_>>())
            };
            let name = &self.levels[0].summaries[variant].name;
            rows.push((name.clone(), Vec::new()));
            rows.push(row("  first token, p50", &|summary| {
                ms(summary.ttft_ms, |ttft| ttft.p50)
            }));
            rows.push(row("  p90", &|summary| {
                ms(summary.ttft_ms, |ttft| ttft.p90)
            }));
            rows.push(row("  from cache, turn 2 on", &|summary| {
                share(summary.tokens_from_turn_2)
            }));
        }
        let headings = self
            .levels
            .iter()
            .map(|level| format!("{} at once", level.concurrency));
        Table {
            headings: headings.collect(),
            rows,
        }
    }
}

fn sentence(levels: &[Level]) -> String {
    for level in levels {
        let at = level.concurrency;
        if let Some(slower) = level
            .times
            .iter()
            .find(|judged| judged.finding == Finding::Harmful)
        {
            let without = level.summaries[0].ttft_ms.map_or(0.0, |ttft| ttft.p50);
            let with = level.summaries[slower.variant]
                .ttft_ms
                .map_or(0.0, |ttft| ttft.p50);
            return format!(
                "with {at} requests at once the first token comes later with {} (p50 {with:.0} ms) than without a key ({without:.0} ms): from there on affinity hurts, since hashing balances no load",
                slower.name,
            );
        }
        let p90 = |summary: &Summary| summary.ttft_ms.map(|ttft| ttft.p90);
        let without = p90(&level.summaries[0]).unwrap_or(f64::INFINITY);
        let is_longer = |with: f64| with > without * LONGER && with > without + LONGER_MS;
        let slower = level.summaries[1..]
            .iter()
            .find(|summary| p90(summary).is_some_and(is_longer));
        if let Some(slower) = slower {
            let with = p90(slower).unwrap_or_default();
            let name = slower.carrier.as_deref().unwrap_or_default();
            return format!(
                "with {at} requests at once the slowest tenth waits longer with {name} (p90 {with:.0} ms) than without a key ({without:.0} ms): a replica gets hot there, since hashing balances no load",
            );
        }
    }
    let most = levels.last().map_or(0, |level| level.concurrency);
    format!(
        "with up to {most} requests at once no replica gets hot enough for the key to cost time"
    )
}

//! A sweep over several concurrencies: from where on affinity costs time.

use serde::Serialize;

use super::table::Table;
use super::{ms, share};
use crate::summary::Summary;
use crate::verdict::{Finding, Judged};

/// How much longer the 90th percentile has to be to count, as a factor and in milliseconds.
const LONGER: f64 = 1.5;
const LONGER_MS: f64 = 20.0;

/// The results at one concurrency.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Level {
    pub(crate) concurrency: u32,
    #[serde(rename = "variants")]
    pub(crate) summaries: Vec<Summary>,
    /// The findings by the time to the first token.
    #[serde(skip)]
    pub(crate) times: Vec<Judged>,
}

/// The results at all concurrencies, with a conclusion.
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

    /// Returns a table with a column per concurrency, and rows for each variant.
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
            rows.push(row("  first token, median", &|summary| {
                ms(summary.ttft_ms, |ttft| ttft.p50)
            }));
            rows.push(row("  90th percentile", &|summary| {
                ms(summary.ttft_ms, |ttft| ttft.p90)
            }));
            rows.push(row("  from cache, turn 2 on", &|summary| {
                share(summary.tokens_from_turn_2)
            }));
        }
        let headings = self
            .levels
            .iter()
            .map(|level| format!("concurrency {}", level.concurrency));
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
                "From concurrency {at} on, affinity costs time: the first token takes {with:.0} ms (median) with {}, {without:.0} ms without a key. Hashing does not balance load.",
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
                "At concurrency {at}, a replica is overloaded: the 90th percentile of the time to the first token is {with:.0} ms with {name}, {without:.0} ms without a key. Hashing does not balance load.",
            );
        }
    }
    let most = levels.last().map_or(0, |level| level.concurrency);
    format!("Up to concurrency {most}, the key costs no time: no replica is overloaded.")
}

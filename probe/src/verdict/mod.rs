//! The verdict: one sentence, and the test behind it.

mod evidence;
mod pairs;
mod sentence;
mod stats;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::counting::Counted;
use crate::failure::Failure;
use crate::measure::Record;
use crate::summary::Summary;
use crate::variant::{Variant, Variants};
use stats::Estimate;

pub(crate) use stats::percentile;

/// The fewest conversations of a verdict: that the differences of five all have the same sign happens
/// by chance in 6 % of cases, of six in 3 %.
pub(crate) const FEWEST: usize = 6;

/// What a run says about the endpoint and one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finding {
    /// More comes from cache with the key.
    Honoured,
    /// No difference, both low: the key is ignored.
    Ignored,
    /// No difference, both high: there is nothing to gain.
    Unneeded,
    /// No difference, both low, though the key holds a conversation on one replica.
    Fruitless,
    /// Less comes from cache with the key.
    Harmful,
    /// The endpoint does not take requests with the key.
    Refused,
    /// None of these is shown.
    Unknown,
}

/// A finding in plain words, with the test behind it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    /// Of all names together: that of the best.
    pub(crate) finding: Finding,
    pub(crate) sentence: String,
    pub(crate) test: String,
    /// With the best key less without: a share from 0 to 1, or milliseconds where no share is reported.
    pub(crate) difference: Option<Estimate>,
    /// Whether the difference is one of shares.
    pub(crate) by_tokens: bool,
    pub(crate) variants: Vec<Judged>,
}

/// What is found of one name.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Judged {
    #[serde(skip)]
    pub(crate) variant: Variant,
    pub(crate) arm: String,
    pub(crate) name: String,
    pub(crate) finding: Finding,
    pub(crate) difference: Option<Estimate>,
    /// The cached share, or the milliseconds to the first token.
    pub(crate) value: Option<f64>,
}

/// What a verdict rests on: the records of one number of requests at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) records: &'a [Record],
    pub(crate) summaries: &'a [Summary],
    pub(crate) variants: &'a Variants,
    pub(crate) refused: &'a BTreeMap<Variant, Failure>,
    pub(crate) counted: Counted,
    pub(crate) seed: u64,
}

/// The value of each variant, and what it differs by.
struct Compared {
    conversations: usize,
    without: f64,
    judged: Vec<Judged>,
}

impl Verdict {
    /// Judges by the cached tokens, or where none are reported by the time to the first token.
    pub(crate) fn of(evidence: &Evidence<'_>) -> Self {
        let records = evidence.records;
        if evidence.counted.is_misfit {
            return Self::unknown(sentence::misfit(records), String::new());
        }
        if records.iter().any(|record| record.tokens.is_some()) {
            return evidence.by_tokens().map_or_else(Self::too_few, |compared| {
                let sentence = sentence::by_tokens(evidence, &compared);
                let test = sentence::token_test(&compared);
                Self::new(compared, sentence, test, true)
            });
        }
        if records.iter().any(|record| record.ttft_ms.is_some()) {
            return evidence.by_time().map_or_else(Self::too_few, |compared| {
                let sentence = sentence::by_time(&compared);
                let test = sentence::time_test(&compared);
                Self::new(compared, sentence, test, false)
            });
        }
        if records.iter().any(|record| record.failure.is_none()) {
            let sentence = "the endpoint reports no cached tokens, and its answers held no token that this tool knows: nothing to judge by";
            return Self::unknown(sentence.to_owned(), String::new());
        }
        Self::too_few(0)
    }

    fn new(compared: Compared, sentence: String, test: String, by_tokens: bool) -> Self {
        let best = compared.best();
        Self {
            finding: best.map_or(Finding::Unknown, |best| best.finding),
            sentence,
            test,
            difference: best.and_then(|best| best.difference),
            by_tokens,
            variants: compared.judged,
        }
    }

    fn unknown(sentence: String, test: String) -> Self {
        Self {
            finding: Finding::Unknown,
            sentence,
            test,
            difference: None,
            by_tokens: false,
            variants: Vec::new(),
        }
    }

    fn too_few(conversations: usize) -> Self {
        Self::unknown(
            "too few conversations were measured in all variants: cannot tell".to_owned(),
            format!("{conversations} conversations, and a verdict takes at least {FEWEST}"),
        )
    }
}

impl Compared {
    /// Returns the name that gains most, or else the one whose finding says most.
    fn best(&self) -> Option<&Judged> {
        let size = |judged: &Judged| {
            judged
                .difference
                .map_or(0.0, |difference| difference.value.abs())
        };
        let rank = |judged: &Judged| match judged.finding {
            Finding::Honoured => 6,
            Finding::Unknown => 5,
            Finding::Unneeded => 4,
            Finding::Fruitless => 3,
            Finding::Ignored => 2,
            Finding::Harmful => 1,
            Finding::Refused => 0,
        };
        self.judged.iter().rev().max_by(|one, other| {
            rank(one)
                .cmp(&rank(other))
                .then_with(|| size(one).total_cmp(&size(other)))
        })
    }

    fn with(&self, finding: Finding) -> Vec<&Judged> {
        self.judged
            .iter()
            .filter(|judged| judged.finding == finding)
            .collect()
    }
}

#[cfg(test)]
mod chance;
#[cfg(test)]
mod tests;

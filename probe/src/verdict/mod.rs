//! The verdict in words, and the test behind it.

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

/// The fewest conversations for a verdict: by chance, five differences all have the same sign in 6 % of
/// cases, six in 3 %.
pub(crate) const FEWEST: usize = 6;

/// The result for one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finding {
    /// More comes from cache with the key.
    Honored,
    /// No difference, and little comes from cache: the key is ignored.
    Ignored,
    /// No difference, and almost everything comes from cache: there is nothing to gain.
    NotNeeded,
    /// The key keeps a conversation on one replica, but little comes from that replica's cache.
    NotCached,
    /// Less comes from cache with the key.
    Harmful,
    /// The endpoint rejects requests with the key.
    Refused,
    /// The measurements do not decide.
    Inconclusive,
}

/// The result of a run, with the statistical test behind it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    /// The finding of the best name.
    pub(crate) finding: Finding,
    pub(crate) sentence: String,
    pub(crate) test: String,
    /// The best name minus no key: a share from 0 to 1, or milliseconds if no share is reported.
    pub(crate) difference: Option<Estimate>,
    /// Whether the difference is a share, not milliseconds.
    pub(crate) by_tokens: bool,
    pub(crate) variants: Vec<Judged>,
}

/// The result for one name, with its measurements.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Judged {
    #[serde(skip)]
    pub(crate) variant: Variant,
    #[serde(rename = "variant")]
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) finding: Finding,
    pub(crate) difference: Option<Estimate>,
    /// The cached share, or the time to the first token in milliseconds.
    pub(crate) value: Option<f64>,
}

/// The evidence for a verdict: the records at one concurrency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) records: &'a [Record],
    pub(crate) summaries: &'a [Summary],
    pub(crate) variants: &'a Variants,
    pub(crate) refused: &'a BTreeMap<Variant, Failure>,
    pub(crate) counted: Counted,
    pub(crate) seed: u64,
}

/// The comparison of every name with no key.
struct Compared {
    conversations: usize,
    without: f64,
    judged: Vec<Judged>,
}

impl Verdict {
    /// Judges by the cached tokens, or by the time to the first token if none are reported.
    pub(crate) fn of(evidence: &Evidence<'_>) -> Self {
        let records = evidence.records;
        if evidence.counted.is_misfit {
            return Self::inconclusive(sentence::impossible(records));
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
            let sentence = "inconclusive. The endpoint reports no cached tokens, and its answers contain no token that the probe recognizes.";
            return Self::inconclusive(sentence.to_owned());
        }
        Self::too_few(0)
    }

    fn new(compared: Compared, sentence: String, test: String, by_tokens: bool) -> Self {
        let best = compared.best();
        Self {
            finding: best.map_or(Finding::Inconclusive, |best| best.finding),
            sentence,
            test,
            difference: best.and_then(|best| best.difference),
            by_tokens,
            variants: compared.judged,
        }
    }

    fn inconclusive(sentence: String) -> Self {
        Self {
            finding: Finding::Inconclusive,
            sentence,
            test: String::new(),
            difference: None,
            by_tokens: false,
            variants: Vec::new(),
        }
    }

    fn too_few(conversations: usize) -> Self {
        Self::inconclusive(format!(
            "inconclusive. A verdict needs at least {FEWEST} conversations that were measured in every variant, and this run has {conversations}."
        ))
    }
}

impl Compared {
    /// Returns the name that gains most, or else the one with the most informative finding.
    fn best(&self) -> Option<&Judged> {
        let size = |judged: &Judged| {
            judged
                .difference
                .map_or(0.0, |difference| difference.value.abs())
        };
        let rank = |judged: &Judged| match judged.finding {
            Finding::Honored => 6,
            Finding::Inconclusive => 5,
            Finding::NotNeeded => 4,
            Finding::NotCached => 3,
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

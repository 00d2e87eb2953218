//! The verdict: one sentence, and the test behind it.

mod pairs;
mod sentence;
mod stats;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::counting::Counted;
use crate::failure::Failure;
use crate::measure::Record;
use crate::summary::Summary;
use crate::variant::{Variant, Variants, WITHOUT_KEY};
use stats::{Estimate, compare};

pub(crate) use stats::percentile;

/// The fewest conversations of a verdict: that the differences of five all have the same sign happens
/// by chance in 6 % of cases, of six in 3 %.
pub(crate) const FEWEST: usize = 6;

/// The smallest difference of the cached share that is worth a header: two points.
const LEAST_SHARE: f64 = 0.02;

/// The smallest difference of the time to the first token that is, as a part of the longer one, and in
/// milliseconds: nobody feels less.
const LEAST_TIME: f64 = 0.1;
const LEAST_MS: f64 = 10.0;

/// The part of the turn before that has to come from cache for a share to count as high.
///
/// Two replicas in round robin reach about 0.8 in six turns, and one replica 1, less what is lost to
/// whole blocks.
const HIGH: f64 = 0.9;

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

impl Evidence<'_> {
    /// Judges every name by the time to the first token alone.
    pub(crate) fn times(&self) -> Vec<Judged> {
        self.by_time()
            .map(|compared| compared.judged)
            .unwrap_or_default()
    }

    /// The error is the number of conversations, if these are too few.
    fn by_tokens(&self) -> Result<Compared, usize> {
        let tried = self.tried();
        let rows = enough(pairs::shares(self.records, &tried))?;
        let share = |variant: Variant| {
            self.summaries[variant]
                .tokens_from_turn_2
                .share()
                .unwrap_or_default()
        };
        let reuse: Vec<_> = tried
            .iter()
            .map(|variant| pairs::reuse(self.records, *variant))
            .collect();
        let findings =
            compare(&rows, self.seed)
                .into_iter()
                .enumerate()
                .map(|(index, difference)| {
                    let variant = tried[index + 1];
                    let replicas = self.summaries[variant].replicas_per_conversation;
                    let finding = if difference.is_above() && difference.value >= LEAST_SHARE {
                        Finding::Honoured
                    } else if difference.map(|points| -points).is_above()
                        && difference.value <= -LEAST_SHARE
                    {
                        Finding::Harmful
                    } else if reuse[0] >= HIGH && reuse[index + 1] >= HIGH {
                        Finding::Unneeded
                    } else if replicas.is_some_and(|replicas| replicas <= 1.0) {
                        Finding::Fruitless
                    } else {
                        Finding::Ignored
                    };
                    // No share differs by more than all of it.
                    (
                        variant,
                        finding,
                        difference.map(|share| share.clamp(-1.0, 1.0)),
                        share(variant),
                    )
                });
        Ok(self.compared(rows.len(), share(WITHOUT_KEY), findings))
    }

    /// The error is the number of conversations, if these are too few.
    fn by_time(&self) -> Result<Compared, usize> {
        let tried = self.tried();
        let rows = enough(pairs::log_times(self.records, &tried))?;
        #[expect(clippy::cast_precision_loss, reason = "there are at most a thousand")]
        let time = |index: usize| {
            (rows.iter().map(|row| row[index]).sum::<f64>() / rows.len() as f64).exp()
        };
        let without = time(WITHOUT_KEY);
        let findings =
            compare(&rows, self.seed)
                .into_iter()
                .enumerate()
                .map(|(index, difference)| {
                    let with = time(index + 1);
                    let is_felt =
                        (with - without).abs() >= LEAST_MS.max(LEAST_TIME * with.max(without));
                    let finding = if is_felt && difference.map(|log| -log).is_above() {
                        Finding::Honoured
                    } else if is_felt && difference.is_above() {
                        Finding::Harmful
                    } else {
                        Finding::Unknown
                    };
                    (
                        tried[index + 1],
                        finding,
                        difference.map(|log| without * log.exp_m1()),
                        with,
                    )
                });
        Ok(self.compared(rows.len(), without, findings))
    }

    /// Returns the variants that the endpoint took.
    fn tried(&self) -> Vec<Variant> {
        let keyed = self
            .variants
            .keyed()
            .filter(|variant| !self.refused.contains_key(variant));
        [WITHOUT_KEY].into_iter().chain(keyed).collect()
    }

    fn compared(
        &self,
        conversations: usize,
        without: f64,
        findings: impl Iterator<Item = (Variant, Finding, Estimate, f64)>,
    ) -> Compared {
        let judged = |variant: Variant, finding, difference, value| Judged {
            variant,
            arm: self.variants.id(variant),
            name: self
                .variants
                .carrier(variant)
                .map(ToString::to_string)
                .unwrap_or_default(),
            finding,
            difference,
            value,
        };
        let mut all: Vec<_> = findings
            .map(|(variant, finding, difference, value)| {
                judged(variant, finding, Some(difference), Some(value))
            })
            .collect();
        all.extend(
            self.refused
                .keys()
                .map(|variant| judged(*variant, Finding::Refused, None, None)),
        );
        all.sort_by_key(|judged| judged.variant);
        Compared {
            conversations,
            without,
            judged: all,
        }
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
            Finding::Unneeded => 5,
            Finding::Fruitless => 4,
            Finding::Ignored => 3,
            Finding::Unknown => 2,
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

fn enough(rows: Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>, usize> {
    if rows.len() < FEWEST {
        Err(rows.len())
    } else {
        Ok(rows)
    }
}

#[cfg(test)]
mod chance;
#[cfg(test)]
mod tests;

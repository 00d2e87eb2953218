//! The verdict: one sentence, and the test behind it.

use http::HeaderName;
use serde::Serialize;

use crate::measure::Record;
use crate::pairs::{self, Pair};
use crate::stats::{Estimate, RESAMPLES, bootstrap};
use crate::summary::{Summary, Tokens};

/// The fewest conversations of a verdict: that the differences of five all have the same sign happens
/// by chance in 6 % of cases, of six in 3 %.
pub(crate) const FEWEST: usize = 6;

/// The smallest difference of the cached share that is worth a header: two points.
const LEAST_SHARE: f64 = 0.02;

/// The smallest difference of the time to the first token that is, as a part of the longer one.
const LEAST_TIME: f64 = 0.1;

/// The part of the turn before that has to come from cache for a share to count as high.
///
/// Two replicas in round robin reach about 0.8 in six turns, and one replica 1, less what is lost to
/// whole blocks.
const HIGH: f64 = 0.9;

/// What a run says about the endpoint.
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
    /// None of these is shown.
    Unknown,
}

/// A finding in plain words, with the test behind it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) finding: Finding,
    pub(crate) sentence: String,
    pub(crate) test: String,
    /// With the key less without: a share from 0 to 1, or milliseconds where no share is reported.
    pub(crate) difference: Option<Estimate>,
}

/// What the cached tokens show.
struct Shown {
    gained: Estimate,
    shares: Pair<f64>,
    /// The cached tokens as a part of the turn before.
    reuse: Pair<f64>,
    /// Replicas per conversation, if a header names them.
    replicas: Option<Pair<f64>>,
}

impl Verdict {
    /// Judges by the cached tokens, or where none are reported by the time to the first token.
    pub(crate) fn of(
        records: &[Record],
        arms: &[Summary; 2],
        header: &HeaderName,
        seed: u64,
    ) -> Self {
        let reported = records.iter().any(|record| record.tokens().is_some());
        let verdict = if reported {
            by_tokens(records, arms, header, seed)
        } else {
            by_time(records, header, seed)
        };
        verdict.unwrap_or_else(|conversations| Self {
            finding: Finding::Unknown,
            sentence: "too few conversations were measured in both arms: cannot tell".to_owned(),
            test: format!("{conversations} conversations, and a verdict takes at least {FEWEST}"),
            difference: None,
        })
    }
}

/// The error is the number of conversations, if these are too few.
fn by_tokens(
    records: &[Record],
    arms: &[Summary; 2],
    header: &HeaderName,
    seed: u64,
) -> Result<Verdict, usize> {
    let pairs = enough(pairs::tokens(records))?;
    let gain = |drawn: &[&Pair<Tokens>]| shares(drawn).map(|shares| shares.with - shares.without);
    let [without, with] = arms.each_ref().map(|arm| arm.replicas_per_conversation);
    let shown = Shown {
        // Only prompts of no tokens at all have no shares.
        gained: bootstrap(&pairs, gain, seed).ok_or(0usize)?,
        shares: shares(&pairs.iter().collect::<Vec<_>>()).ok_or(0usize)?,
        reuse: pairs::reuse(records),
        replicas: without
            .zip(with)
            .map(|(without, with)| Pair { without, with }),
    };
    let finding = shown.finding();
    let Estimate { value, low, high } = shown.gained.times(100.0);
    Ok(Verdict {
        finding,
        sentence: shown.sentence(finding, header),
        test: format!(
            "from turn 2 on; paired bootstrap over {} conversations, {RESAMPLES} draws: {value:+.1} points, 99 % interval {low:+.1} to {high:+.1}",
            pairs.len(),
        ),
        difference: Some(shown.gained),
    })
}

impl Shown {
    fn finding(&self) -> Finding {
        if self.gained.is_beyond_chance(LEAST_SHARE) {
            Finding::Honoured
        } else if self.gained.times(-1.0).is_beyond_chance(LEAST_SHARE) {
            Finding::Harmful
        } else if self.reuse.with >= HIGH && self.reuse.without >= HIGH {
            Finding::Unneeded
        } else if self.replicas.is_some_and(|replicas| replicas.with <= 1.0) {
            Finding::Fruitless
        } else {
            Finding::Ignored
        }
    }

    fn sentence(&self, finding: Finding, header: &HeaderName) -> String {
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let (with, without) = (percent(self.shares.with), percent(self.shares.without));
        let shares = format!("{with} with the key, {without} without");
        match (finding, self.replicas) {
            (Finding::Honoured, _) => format!(
                "with the key {with} of the prompt came from cache, without it {without}: this endpoint honours {header}"
            ),
            (Finding::Harmful, _) => format!(
                "with the key only {with} of the prompt came from cache, without it {without}: {header} does harm here"
            ),
            (Finding::Unneeded, _) => format!(
                "no difference beyond chance, both high ({shares}): one replica, or a router that looks at the prompt itself"
            ),
            (Finding::Fruitless, Some(replicas)) => format!(
                "no difference beyond chance, both low ({shares}): a conversation stays on one replica with the key (on {:.1} without), and that does not keep it in its cache until the next turn",
                replicas.without,
            ),
            (_, Some(_)) => {
                format!("no difference beyond chance, both low ({shares}): {header} is ignored")
            }
            (_, None) => format!(
                "no difference beyond chance, both low ({shares}): {header} is ignored, or nothing stays in a cache until the next turn"
            ),
        }
    }
}

/// The error is the number of conversations, if these are too few.
fn by_time(records: &[Record], header: &HeaderName, seed: u64) -> Result<Verdict, usize> {
    let pairs = enough(pairs::median_ttft(records))?;
    let change = |drawn: &[&Pair<f64>]| {
        let means = means(drawn);
        Some(means.with - means.without)
    };
    let change = bootstrap(&pairs, change, seed).ok_or(0usize)?;
    let Pair { without, with } = means(&pairs.iter().collect::<Vec<_>>());
    let least = LEAST_TIME * with.max(without);
    let (finding, end) = if change.times(-1.0).is_beyond_chance(least) {
        (
            Finding::Honoured,
            format!("this endpoint seems to honour {header}"),
        )
    } else if change.is_beyond_chance(least) {
        (Finding::Harmful, format!("{header} seems to do harm here"))
    } else {
        let end = format!(
            "no difference beyond chance, and so no way to tell whether {header} is ignored or not needed"
        );
        (Finding::Unknown, end)
    };
    let Estimate { value, low, high } = change;
    Ok(Verdict {
        finding,
        sentence: format!(
            "the endpoint reports no cached tokens; by the time to the first token alone, {with:.0} ms with the key and {without:.0} ms without: {end}"
        ),
        test: format!(
            "medians from turn 2 on; paired bootstrap over {} conversations, {RESAMPLES} draws: {value:+.0} ms, 99 % interval {low:+.0} to {high:+.0}",
            pairs.len(),
        ),
        difference: Some(change),
    })
}

fn enough<T>(pairs: Vec<Pair<T>>) -> Result<Vec<Pair<T>>, usize> {
    if pairs.len() < FEWEST {
        Err(pairs.len())
    } else {
        Ok(pairs)
    }
}

fn shares(pairs: &[&Pair<Tokens>]) -> Option<Pair<f64>> {
    let total = |arm: fn(&Pair<Tokens>) -> Tokens| pairs.iter().map(|pair| arm(pair)).collect();
    let (without, with): (Tokens, Tokens) = (total(|pair| pair.without), total(|pair| pair.with));
    Some(Pair {
        without: without.share()?,
        with: with.share()?,
    })
}

fn means(pairs: &[&Pair<f64>]) -> Pair<f64> {
    #[expect(clippy::cast_precision_loss, reason = "there are at most a thousand")]
    let count = pairs.len() as f64;
    Pair {
        without: pairs.iter().map(|pair| pair.without).sum::<f64>() / count,
        with: pairs.iter().map(|pair| pair.with).sum::<f64>() / count,
    }
}

#[cfg(test)]
mod tests;

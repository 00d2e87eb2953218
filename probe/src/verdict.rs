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
            by_time(&pairs::median_ttft(records), header, seed)
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
    let gain = |drawn: &[&Pair<Tokens>]| {
        let shares = shares(drawn)?;
        Some(shares.with - shares.without)
    };
    let shares = shares(&pairs.iter().collect::<Vec<_>>()).ok_or(0usize)?;
    let gained = bootstrap(&pairs, gain, seed).ok_or(0usize)?;
    let (with, without) = (percent(shares.with), percent(shares.without));
    let (finding, sentence) = if gained.is_beyond_chance(LEAST_SHARE) {
        let sentence = format!(
            "with the key {with} of the prompt came from cache, without it {without}: this endpoint honours {header}"
        );
        (Finding::Honoured, sentence)
    } else if gained.negated().is_beyond_chance(LEAST_SHARE) {
        let sentence = format!(
            "with the key only {with} of the prompt came from cache, without it {without}: {header} does harm here"
        );
        (Finding::Harmful, sentence)
    } else {
        no_difference(
            records,
            arms,
            header,
            &format!("{with} with the key, {without} without"),
        )
    };
    let [value, low, high] = [gained.value, gained.low, gained.high].map(|share| 100.0 * share);
    let test = format!(
        "from turn 2 on; paired bootstrap over {} conversations, {RESAMPLES} draws: {value:+.1} points, 95 % interval {low:+.1} to {high:+.1}",
        pairs.len(),
    );
    Ok(Verdict {
        finding,
        sentence,
        test,
        difference: Some(gained),
    })
}

fn no_difference(
    records: &[Record],
    arms: &[Summary; 2],
    header: &HeaderName,
    shares: &str,
) -> (Finding, String) {
    let reuse = pairs::reuse(records);
    let replicas = arms.each_ref().map(|arm| arm.replicas_per_conversation);
    if reuse.with >= HIGH && reuse.without >= HIGH {
        let sentence = format!(
            "no difference beyond chance, both high ({shares}): one replica, or a router that looks at the prompt itself"
        );
        return (Finding::Unneeded, sentence);
    }
    match replicas {
        // To the letter: a mean of exactly one, where a header tells.
        [Some(without), Some(with)] if with <= 1.0 => {
            let sentence = format!(
                "no difference beyond chance, both low ({shares}): a conversation stays on one replica with the key (on {without:.1} without), and that does not keep it in its cache until the next turn"
            );
            (Finding::Fruitless, sentence)
        }
        [Some(_), Some(_)] => {
            let sentence =
                format!("no difference beyond chance, both low ({shares}): {header} is ignored");
            (Finding::Ignored, sentence)
        }
        _ => {
            let sentence = format!(
                "no difference beyond chance, both low ({shares}): {header} is ignored, or nothing stays in a cache until the next turn"
            );
            (Finding::Ignored, sentence)
        }
    }
}

/// The error is the number of conversations, if these are too few.
fn by_time(pairs: &[Pair<f64>], header: &HeaderName, seed: u64) -> Result<Verdict, usize> {
    let pairs = enough(pairs.to_vec())?;
    let gain = |drawn: &[&Pair<f64>]| Some(mean(drawn, |p| p.without) - mean(drawn, |p| p.with));
    let gained = bootstrap(&pairs, gain, seed).ok_or(0usize)?;
    let all: Vec<_> = pairs.iter().collect();
    let (with, without) = (mean(&all, |p| p.with), mean(&all, |p| p.without));
    let least = LEAST_TIME * with.max(without);
    let difference = gained.negated();
    let (finding, end) = if gained.is_beyond_chance(least) {
        (
            Finding::Honoured,
            format!("this endpoint seems to honour {header}"),
        )
    } else if difference.is_beyond_chance(least) {
        (Finding::Harmful, format!("{header} seems to do harm here"))
    } else {
        let end = format!(
            "no difference beyond chance, and so no way to tell whether {header} is ignored or not needed"
        );
        (Finding::Unknown, end)
    };
    let sentence = format!(
        "the endpoint reports no cached tokens; by the time to the first token alone, {with:.0} ms with the key and {without:.0} ms without: {end}"
    );
    let test = format!(
        "medians from turn 2 on; paired bootstrap over {} conversations, {RESAMPLES} draws: {:+.0} ms, 95 % interval {:+.0} to {:+.0}",
        pairs.len(),
        difference.value,
        difference.low,
        difference.high,
    );
    Ok(Verdict {
        finding,
        sentence,
        test,
        difference: Some(difference),
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

#[expect(
    clippy::cast_precision_loss,
    reason = "there are at most a thousand conversations"
)]
fn mean(pairs: &[&Pair<f64>], arm: fn(&Pair<f64>) -> f64) -> f64 {
    pairs.iter().map(|pair| arm(pair)).sum::<f64>() / pairs.len() as f64
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

#[cfg(test)]
mod tests;

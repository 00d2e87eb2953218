//! The verdict: one sentence, and the test behind it.

use std::collections::BTreeMap;

use http::HeaderName;
use serde::Serialize;

use crate::conversation::Arm;
use crate::measure::Record;
use crate::stats::{Estimate, RESAMPLES, bootstrap, percentile};
use crate::summary::Tokens;

/// The fewest conversations of a verdict: that the differences of five all have the same sign happens
/// by chance in 6 % of cases, of six in 3 %.
pub(crate) const FEWEST: usize = 6;

/// The smallest difference of the cached share that is worth a header: two points.
const LEAST_SHARE: f64 = 0.02;

/// The smallest difference of the time to the first token that is, as a part of the longer one.
const LEAST_TIME: f64 = 0.1;

/// The part of what a conversation could find in a cache from which on it counts as high.
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
    /// It makes no difference, and there would be something to gain.
    Ignored,
    /// It makes no difference, and there is nothing to gain.
    Unneeded,
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
    /// With the key less without: a share from 0 to 1, or else milliseconds.
    pub(crate) difference: Option<Estimate>,
}

/// Both arms of one conversation, from turn 2 on.
#[derive(Clone, Debug)]
struct Pair<T> {
    without: T,
    with: T,
}

impl Verdict {
    pub(crate) fn of(records: &[Record], header: &HeaderName, seed: u64) -> Self {
        let tokens = pairs(records, |turns| {
            turns.iter().map(|turn| turn.tokens()).collect()
        });
        if !tokens.is_empty() {
            return by_tokens(&tokens, attainable(records), header, seed);
        }
        by_time(&pairs(records, median_ttft), header, seed)
    }

    fn unknown(sentence: &str, test: String) -> Self {
        Self {
            finding: Finding::Unknown,
            sentence: sentence.to_owned(),
            test,
            difference: None,
        }
    }
}

fn by_tokens(
    pairs: &[Pair<Tokens>],
    attainable: Pair<f64>,
    header: &HeaderName,
    seed: u64,
) -> Verdict {
    if pairs.len() < FEWEST {
        return too_few(pairs.len());
    }
    let all: Vec<_> = pairs.iter().collect();
    let estimate = bootstrap(
        pairs,
        |drawn| Some(share(drawn, |p| p.with)? - share(drawn, |p| p.without)?),
        seed,
    );
    let shares = share(&all, |p| p.with).zip(share(&all, |p| p.without));
    let Some((estimate, (with, without))) = estimate.zip(shares) else {
        return Verdict::unknown(
            "the endpoint reports prompts of no tokens: cannot tell",
            String::new(),
        );
    };
    let test = format!(
        "from turn 2 on; paired bootstrap over {} conversations, {RESAMPLES} draws: {:+.1} points, 95 % interval {:+.1} to {:+.1}",
        pairs.len(),
        100.0 * estimate.value,
        100.0 * estimate.low,
        100.0 * estimate.high,
    );
    let (with, without) = (percent(with), percent(without));
    let (finding, sentence) = if is_more(estimate, LEAST_SHARE) {
        (
            Finding::Honoured,
            format!(
                "with the key {with} of the prompt came from cache, without it {without}: this endpoint honours {header}"
            ),
        )
    } else if is_more(estimate.negated(), LEAST_SHARE) {
        (
            Finding::Harmful,
            format!(
                "with the key only {with} of the prompt came from cache, without it {without}: {header} does harm here"
            ),
        )
    } else if attainable.with >= HIGH && attainable.without >= HIGH {
        (
            Finding::Unneeded,
            format!(
                "no difference beyond chance, both high ({with} with the key, {without} without): one replica, or a router that looks at the prompt itself"
            ),
        )
    } else {
        (
            Finding::Ignored,
            format!(
                "no difference beyond chance, both low ({with} with the key, {without} without): {header} is ignored"
            ),
        )
    };
    Verdict {
        finding,
        sentence,
        test,
        difference: Some(estimate),
    }
}

fn by_time(pairs: &[Pair<f64>], header: &HeaderName, seed: u64) -> Verdict {
    const ALONE: &str =
        "the endpoint reports no cached tokens, so by the time to the first token alone";
    if pairs.len() < FEWEST {
        return too_few(pairs.len());
    }
    let all: Vec<_> = pairs.iter().collect();
    let gain = |drawn: &[&Pair<f64>]| Some(mean(drawn, |p| p.without) - mean(drawn, |p| p.with));
    let Some(gained) = bootstrap(pairs, gain, seed) else {
        return too_few(0);
    };
    let (with, without) = (mean(&all, |p| p.with), mean(&all, |p| p.without));
    let difference = gained.negated();
    let test = format!(
        "medians from turn 2 on; paired bootstrap over {} conversations, {RESAMPLES} draws: {:+.0} ms, 95 % interval {:+.0} to {:+.0}",
        pairs.len(),
        difference.value,
        difference.low,
        difference.high,
    );
    let least = LEAST_TIME * with.max(without);
    let (finding, sentence) = if is_more(gained, least) {
        (
            Finding::Honoured,
            format!(
                "{ALONE}: {with:.0} ms with the key, {without:.0} ms without it: this endpoint seems to honour {header}"
            ),
        )
    } else if is_more(difference, least) {
        (
            Finding::Harmful,
            format!(
                "{ALONE}: {with:.0} ms with the key, {without:.0} ms without it: {header} seems to do harm here"
            ),
        )
    } else {
        (
            Finding::Unknown,
            format!(
                "{ALONE}: {with:.0} ms with the key, {without:.0} ms without it, no difference beyond chance: cannot tell whether {header} is ignored or not needed"
            ),
        )
    };
    Verdict {
        finding,
        sentence,
        test,
        difference: Some(difference),
    }
}

fn too_few(conversations: usize) -> Verdict {
    Verdict::unknown(
        "too few conversations were measured in both arms: cannot tell",
        format!("{conversations} conversations, and a verdict takes at least {FEWEST}"),
    )
}

/// Whether a difference is beyond chance and large enough to matter.
fn is_more(estimate: Estimate, least: f64) -> bool {
    estimate.low > 0.0 && estimate.value >= least
}

impl Estimate {
    fn negated(self) -> Self {
        Self {
            value: -self.value,
            low: -self.high,
            high: -self.low,
        }
    }
}

/// Puts the arms of each conversation side by side, over the later turns that both have.
fn pairs<T>(records: &[Record], value: impl Fn(&[&Record]) -> Option<T>) -> Vec<Pair<T>> {
    let mut conversations: BTreeMap<u32, BTreeMap<u32, [Option<&Record>; 2]>> = BTreeMap::new();
    for record in records
        .iter()
        .filter(|record| record.turn > 1 && record.failure.is_none())
    {
        let turns = conversations.entry(record.conversation).or_default();
        turns.entry(record.turn).or_default()[record.arm as usize] = Some(record);
    }
    let pair = |turns: &BTreeMap<u32, [Option<&Record>; 2]>| {
        let both = turns
            .values()
            .filter_map(|[without, with]| without.zip(*with));
        let (without, with): (Vec<_>, Vec<_>) = both.unzip();
        if without.is_empty() {
            return None;
        }
        Some(Pair {
            without: value(&without)?,
            with: value(&with)?,
        })
    };
    conversations.values().filter_map(pair).collect()
}

fn median_ttft(turns: &[&Record]) -> Option<f64> {
    let mut times = turns
        .iter()
        .map(|turn| turn.ttft_ms)
        .collect::<Option<Vec<_>>>()?;
    times.sort_by(f64::total_cmp);
    percentile(&times, 50)
}

/// Returns which part of the prompt of the turn before, all that a cache can hold, was found in one.
fn attainable(records: &[Record]) -> Pair<f64> {
    let prompts: BTreeMap<_, _> = records
        .iter()
        .filter_map(|record| {
            let key = (record.arm as usize, record.conversation, record.turn);
            Some((key, record.usage.prompt_tokens?))
        })
        .collect();
    let of = |arm: Arm| {
        let later = records
            .iter()
            .filter(|record| record.arm == arm && record.turn > 1);
        let found: Tokens = later
            .filter_map(|record| {
                let cached = record.usage.cached_tokens?;
                let before = (arm as usize, record.conversation, record.turn - 1);
                Some(Tokens {
                    prompt: *prompts.get(&before)?,
                    cached,
                })
            })
            .collect();
        found.share().unwrap_or_default()
    };
    Pair {
        without: of(Arm::WithoutKey),
        with: of(Arm::WithKey),
    }
}

fn share(pairs: &[&Pair<Tokens>], arm: impl Fn(&Pair<Tokens>) -> Tokens) -> Option<f64> {
    pairs
        .iter()
        .map(|pair| arm(pair))
        .collect::<Tokens>()
        .share()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "there are at most a thousand conversations"
)]
fn mean(pairs: &[&Pair<f64>], arm: impl Fn(&Pair<f64>) -> f64) -> f64 {
    pairs.iter().map(|pair| arm(pair)).sum::<f64>() / pairs.len() as f64
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

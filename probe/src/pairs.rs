//! The arms of each conversation, side by side.

use std::collections::BTreeMap;

use crate::conversation::Arm;
use crate::measure::Record;
use crate::stats::percentile;
use crate::summary::Tokens;

/// A value of each arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair<T> {
    pub(crate) without: T,
    pub(crate) with: T,
}

/// Returns the tokens of each conversation, over the turns from the second on that both arms have.
pub(crate) fn tokens(records: &[Record]) -> Vec<Pair<Tokens>> {
    pairs(records, |turns| {
        turns.iter().map(|turn| turn.tokens()).collect()
    })
}

/// Returns the median time to the first token of each conversation, over the same turns.
pub(crate) fn median_ttft(records: &[Record]) -> Vec<Pair<f64>> {
    pairs(records, |turns| {
        let times = turns.iter().map(|turn| turn.ttft_ms);
        let mut times = times.collect::<Option<Vec<_>>>()?;
        times.sort_by(f64::total_cmp);
        percentile(&times, 50)
    })
}

/// Returns the cached tokens as a part of the prompt of the turn before, which is what a cache had
/// seen of the conversation.
pub(crate) fn reuse(records: &[Record]) -> Pair<f64> {
    let prompts: BTreeMap<_, _> = records
        .iter()
        .filter_map(|record| {
            let id = (record.arm, record.conversation, record.turn);
            Some((id, record.usage.prompt_tokens?))
        })
        .collect();
    let of = |arm| {
        let reused = records
            .iter()
            .filter(|record| record.arm == arm && record.turn > 1);
        let reused: Tokens = reused
            .filter_map(|record| {
                let cached = record.usage.cached_tokens?;
                let before = prompts.get(&(arm, record.conversation, record.turn - 1))?;
                Some(Tokens {
                    prompt: *before,
                    cached,
                })
            })
            .collect();
        reused.share().unwrap_or_default()
    };
    Pair {
        without: of(Arm::WithoutKey),
        with: of(Arm::WithKey),
    }
}

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

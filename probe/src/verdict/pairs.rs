//! The variants of each conversation, side by side.

use std::collections::BTreeMap;

use super::stats::percentile;
use crate::measure::Record;
use crate::summary::Tokens;
use crate::variant::Variant;

/// Returns the cached share of each conversation, over the turns from 2 on that all variants have.
pub(super) fn shares(records: &[Record], variants: &[Variant]) -> Vec<Vec<f64>> {
    rows(
        records,
        variants,
        |record| record.tokens,
        |tokens| tokens.iter().copied().collect::<Tokens>().share(),
    )
}

/// Returns the logarithm of the median time to the first token of each conversation, over the same turns.
///
/// Logarithms compare times by their ratio, since some requests take many times longer than others.
pub(super) fn log_times(records: &[Record], variants: &[Variant]) -> Vec<Vec<f64>> {
    rows(
        records,
        variants,
        |record| record.ttft_ms,
        |times| {
            let mut times = times.to_vec();
            times.sort_by(f64::total_cmp);
            // The logarithm of zero is not finite.
            Some(percentile(&times, 50)?.max(1e-3).ln())
        },
    )
}

/// Returns the cached tokens as a share of the previous turn's prompt, which is what a cache can have.
pub(super) fn reuse(records: &[Record], variant: Variant) -> f64 {
    let of_variant = || {
        records
            .iter()
            .filter(move |record| record.variant == variant)
    };
    let prompts: BTreeMap<_, _> = of_variant()
        .filter_map(|record| Some(((record.conversation, record.turn), record.prompt_tokens?)))
        .collect();
    let reused: Tokens = of_variant()
        .filter_map(|record| {
            let prompt = *prompts.get(&(record.conversation, record.turn.checked_sub(1)?))?;
            Some(Tokens {
                prompt,
                cached: record.tokens?.cached,
            })
        })
        .collect();
    reused.share().unwrap_or_default()
}

fn rows<T: Copy>(
    records: &[Record],
    variants: &[Variant],
    of_record: impl Fn(&Record) -> Option<T>,
    of_turns: impl Fn(&[T]) -> Option<f64>,
) -> Vec<Vec<f64>> {
    let mut conversations: BTreeMap<u32, BTreeMap<u32, BTreeMap<Variant, T>>> = BTreeMap::new();
    for record in records
        .iter()
        .filter(|record| record.turn > 1 && record.failure.is_none())
    {
        if let Some(value) = of_record(record) {
            let turns = conversations.entry(record.conversation).or_default();
            turns
                .entry(record.turn)
                .or_default()
                .insert(record.variant, value);
        }
    }
    let row = |turns: &BTreeMap<u32, BTreeMap<Variant, T>>| {
        let of_variant = |variant: &Variant| {
            let all = turns
                .values()
                .filter(|turn| variants.iter().all(|variant| turn.contains_key(variant)));
            let values: Vec<_> = all.filter_map(|turn| turn.get(variant).copied()).collect();
            if values.is_empty() {
                None
            } else {
                of_turns(&values)
            }
        };
        variants.iter().map(of_variant).collect()
    };
    conversations.values().filter_map(row).collect()
}

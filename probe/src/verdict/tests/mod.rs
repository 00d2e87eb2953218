mod several;
mod time;

use http::HeaderName;

use super::*;
use crate::counting::count;
use crate::usage::Usage;
use crate::variant::Carrier;

/// What an endpoint reports in one variant, by conversation and turn.
type Reports = fn(u32, u32) -> Record;

fn record(variant: Variant, conversation: u32, turn: u32) -> Record {
    Record {
        ttft_ms: Some(100.0),
        total_ms: Some(200.0),
        ..Record::new(variant, conversation, turn)
    }
}

pub(super) fn usage(prompt: u64, cached: u64) -> Usage {
    Usage {
        prompt_tokens: Some(prompt),
        cached_tokens: Some(cached),
        ..Usage::default()
    }
}

/// A prompt of 1,000 tokens plus 100 per further turn, with this percentage cached.
fn cached(variant: Variant, conversation: u32, turn: u32, percent: u64) -> Record {
    let prompt = 900 + 100 * u64::from(turn);
    let cached = if turn == 1 { 0 } else { prompt * percent / 100 };
    let usage = usage(prompt, cached);
    Record {
        usage,
        ..record(variant, conversation, turn)
    }
}

/// Cached tokens that vary by conversation and turn, but on average not by variant.
fn noisy(variant: Variant, conversation: u32, turn: u32, percent: u64) -> Record {
    let sign = (u64::from(conversation + turn) + variant as u64) % 2;
    cached(variant, conversation, turn, percent + 10 * sign)
}

/// Judges names, some of which are refused.
pub(super) fn judge(
    names: &[&'static str],
    records: &mut [Record],
    refused: &[Variant],
    seed: u64,
) -> Verdict {
    let variants = Variants::new(
        names
            .iter()
            .map(|name| Carrier::Header(HeaderName::from_static(name))),
    );
    let counted = count(records);
    let summaries = Summary::all(&variants, records);
    let failure = Failure::TooMuch { what: "" };
    let refused = refused
        .iter()
        .map(|variant| (*variant, failure.clone()))
        .collect();
    Verdict::of(&Evidence {
        records,
        summaries: &summaries,
        variants: &variants,
        refused: &refused,
        counted,
        seed,
    })
}

fn verdict(conversations: u32, without: Reports, with: Reports) -> Verdict {
    let turns = || (1..=conversations).flat_map(|number| (1..=5).map(move |turn| (number, turn)));
    let without = turns().map(|(number, turn)| without(number, turn));
    let with = turns().map(|(number, turn)| with(number, turn));
    let mut records: Vec<_> = without.chain(with).collect();
    judge(&["x-session-affinity"], &mut records, &[], 1)
}

#[test]
fn more_from_cache_with_the_key_means_honored() {
    let verdict = verdict(8, |c, t| noisy(0, c, t, 44), |c, t| noisy(1, c, t, 82));
    assert_eq!(verdict.finding, Finding::Honored);
    let expected = "this endpoint honors x-session-affinity. From turn 2 on, 87 % of prompt tokens came from cache with the key, 49 % without it.";
    assert_eq!(verdict.sentence, expected);
    let expected = "+38.0 percentage points, 99 % confidence interval ";
    assert!(verdict.test.starts_with(expected), "{}", verdict.test);
    let expected = "; p = 0.008 by a paired permutation test over 8 conversations";
    assert!(verdict.test.ends_with(expected), "{}", verdict.test);
}

#[test]
fn no_difference_at_low_shares_means_ignored_or_evicted() {
    let verdict = verdict(8, |c, t| noisy(0, c, t, 44), |c, t| noisy(1, c, t, 44));
    assert_eq!(verdict.finding, Finding::Ignored);
    let expected = "x-session-affinity is ignored, or no prompt stays cached until the next turn. From turn 2 on, 49 % of prompt tokens came from cache with the key, 49 % without it.";
    assert_eq!(verdict.sentence, expected);
}

#[test]
fn no_difference_at_low_shares_means_ignored_if_the_replica_changes_with_the_key() {
    fn on_any(record: Record) -> Record {
        Record {
            replica: Some(format!("replica-{}", record.turn % 4)),
            ..record
        }
    }
    let verdict = verdict(
        8,
        |c, t| on_any(noisy(0, c, t, 44)),
        |c, t| on_any(noisy(1, c, t, 44)),
    );
    assert_eq!(verdict.finding, Finding::Ignored);
    assert!(
        verdict
            .sentence
            .starts_with("x-session-affinity is ignored. "),
        "{}",
        verdict.sentence
    );
}

#[test]
fn a_key_that_selects_replicas_without_a_cache_is_not_called_ignored() {
    let verdict = verdict(
        8,
        |c, t| Record {
            replica: Some(format!("{}", t % 4)),
            ..noisy(0, c, t, 10)
        },
        |c, t| Record {
            replica: Some("1".to_owned()),
            ..noisy(1, c, t, 10)
        },
    );
    assert_eq!(verdict.finding, Finding::NotCached);
    let expected = "x-session-affinity keeps a conversation on one replica (4.0 without it), but its prompt is no longer in that cache at the next turn. From turn 2 on, 15 % of ";
    assert!(
        verdict.sentence.starts_with(expected),
        "{}",
        verdict.sentence
    );
}

#[test]
fn no_difference_at_high_shares_means_not_needed() {
    let verdict = verdict(8, |c, t| noisy(0, c, t, 82), |c, t| noisy(1, c, t, 82));
    assert_eq!(verdict.finding, Finding::NotNeeded);
    let expected = "x-session-affinity is not needed: there is one replica, or a prefix-cache-aware router. From turn 2 on, 87 % of prompt tokens came from cache with the key, 87 % without it.";
    assert_eq!(verdict.sentence, expected);
}

#[test]
fn less_from_cache_with_the_key_means_harmful() {
    let verdict = verdict(8, |c, t| noisy(0, c, t, 82), |c, t| noisy(1, c, t, 20));
    assert_eq!(verdict.finding, Finding::Harmful);
    assert!(
        verdict.sentence.starts_with(
            "x-session-affinity is harmful here. From turn 2 on, 25 % of prompt tokens came from cache"
        ),
        "{}",
        verdict.sentence
    );
}

#[test]
fn a_significant_difference_of_one_point_is_too_small_to_count() {
    let verdict = verdict(8, |c, t| cached(0, c, t, 86), |c, t| cached(1, c, t, 87));
    assert_eq!(verdict.finding, Finding::NotNeeded);
}

#[test]
fn one_lucky_conversation_of_eight_is_not_significant() {
    let verdict = verdict(
        8,
        |c, t| cached(0, c, t, 40),
        |c, t| cached(1, c, t, if c == 1 { 90 } else { 40 }),
    );
    assert_eq!(verdict.finding, Finding::Ignored);
}

#[test]
fn a_difference_that_is_almost_significant_is_inconclusive() {
    // Two of eight conversations came back to their replica by chance.
    let verdict = verdict(
        8,
        |c, t| cached(0, c, t, if c <= 2 { 90 } else { 20 }),
        |c, t| cached(1, c, t, 90),
    );
    assert_eq!(verdict.finding, Finding::Inconclusive);
    let expected = "inconclusive. A difference is neither shown nor ruled out; try more conversations or turns. From turn 2 on, 90 % of prompt tokens came from cache with the key, 38 % without it.";
    assert_eq!(verdict.sentence, expected);
}

#[test]
fn five_conversations_are_too_few_and_six_are_enough() {
    let without: Reports = |c, t| cached(0, c, t, 40);
    let with: Reports = |c, t| cached(1, c, t, 90);
    let five = verdict(5, without, with);
    assert_eq!(five.finding, Finding::Inconclusive);
    let expected = "inconclusive. A verdict needs at least 6 conversations that were measured in every variant, and this run has 5.";
    assert_eq!((five.sentence.as_str(), five.test.as_str()), (expected, ""));
    assert_eq!(verdict(6, without, with).finding, Finding::Honored);
}

#[test]
fn a_turn_that_failed_in_one_variant_counts_in_neither() {
    let with: Reports = |c, t| {
        let record = cached(1, c, t, 44);
        if t == 5 {
            Record {
                failure: Some("broke off".to_owned()),
                usage: Usage::default(),
                ..record
            }
        } else {
            record
        }
    };
    // If the last turn of the other variant counted, it alone would make the difference.
    let without: Reports = |c, t| cached(0, c, t, if t == 5 { 90 } else { 44 });
    assert_eq!(verdict(8, without, with).finding, Finding::Ignored);
}

#[test]
fn an_endpoint_without_cached_tokens_and_without_tokens_is_inconclusive() {
    let silent: Reports = |c, t| Record {
        ttft_ms: None,
        ..record(0, c, t)
    };
    let verdict = verdict(8, silent, |c, t| Record {
        ttft_ms: None,
        ..record(1, c, t)
    });
    assert_eq!(verdict.finding, Finding::Inconclusive);
    assert!(
        verdict
            .sentence
            .ends_with("contain no token that the probe recognizes."),
        "{}",
        verdict.sentence
    );
}

#[test]
fn impossible_token_counts_are_reported() {
    fn impossible(record: Record) -> Record {
        let usage = usage(u64::MAX, u64::MAX);
        Record { usage, ..record }
    }
    let verdict = verdict(
        8,
        |c, t| impossible(record(0, c, t)),
        |c, t| impossible(record(1, c, t)),
    );
    assert_eq!(verdict.finding, Finding::Inconclusive);
    assert!(
        verdict.sentence.contains("impossible token counts"),
        "{}",
        verdict.sentence
    );
}

#[test]
fn the_share_is_of_the_sum_if_the_prompt_excludes_cached_tokens() {
    fn exclusive(mut record: Record) -> Record {
        let cached = record.usage.cached_tokens.unwrap_or_default();
        record.usage.prompt_tokens = record.usage.prompt_tokens.map(|prompt| prompt - cached);
        record
    }
    let verdict = verdict(
        8,
        |c, t| exclusive(noisy(0, c, t, 44)),
        |c, t| exclusive(noisy(1, c, t, 82)),
    );
    let expected = "this endpoint honors x-session-affinity. From turn 2 on, 87 % of prompt tokens came from cache with the key, 49 % without it.";
    assert_eq!(verdict.sentence, expected);
}

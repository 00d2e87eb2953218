use http::HeaderName;

use super::*;
use crate::counting::count;
use crate::usage::Usage;
use crate::variant::Carrier;

/// What an endpoint says in one variant, by conversation and turn.
type Says = fn(u32, u32) -> Record;

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

/// Prompts of 1,000 tokens and 100 more each turn, with this share of them cached.
fn cached(variant: Variant, conversation: u32, turn: u32, percent: u64) -> Record {
    let prompt = 900 + 100 * u64::from(turn);
    let cached = if turn == 1 { 0 } else { prompt * percent / 100 };
    let usage = usage(prompt, cached);
    Record {
        usage,
        ..record(variant, conversation, turn)
    }
}

/// Cached tokens that differ between the conversations and turns, in all variants alike on the whole.
fn noisy(variant: Variant, conversation: u32, turn: u32, percent: u64) -> Record {
    let sign = (u64::from(conversation + turn) + variant as u64) % 2;
    cached(variant, conversation, turn, percent + 10 * sign)
}

/// Judges names, of which some are refused.
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

fn verdict(conversations: u32, without: Says, with: Says) -> Verdict {
    let turns = || (1..=conversations).flat_map(|number| (1..=5).map(move |turn| (number, turn)));
    let without = turns().map(|(number, turn)| without(number, turn));
    let with = turns().map(|(number, turn)| with(number, turn));
    let mut records: Vec<_> = without.chain(with).collect();
    judge(&["x-session-affinity"], &mut records, &[], 1)
}

#[test]
fn more_from_cache_with_the_key_is_honoured() {
    let verdict = verdict(8, |c, t| noisy(0, c, t, 44), |c, t| noisy(1, c, t, 82));
    assert_eq!(verdict.finding, Finding::Honoured);
    let expected = "with the key 87 % of the prompt came from cache, without it 49 %: this endpoint honours x-session-affinity";
    assert_eq!(verdict.sentence, expected);
    let expected = "from turn 2 on; paired permutation test over 8 conversations, p = 0.008: +38.0 points, 99 % interval";
    assert!(verdict.test.starts_with(expected), "{}", verdict.test);
}

#[test]
fn no_difference_and_both_low_is_ignored_or_lost() {
    let verdict = verdict(8, |c, t| noisy(0, c, t, 44), |c, t| noisy(1, c, t, 44));
    assert_eq!(verdict.finding, Finding::Ignored);
    let expected = "no difference beyond chance, both low (49 % with the key, 49 % without): x-session-affinity is ignored, or nothing stays in a cache until the next turn";
    assert_eq!(verdict.sentence, expected);
}

#[test]
fn no_difference_and_both_low_is_ignored_where_a_header_shows_the_replicas_change() {
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
            .ends_with(": x-session-affinity is ignored"),
        "{}",
        verdict.sentence
    );
}

#[test]
fn a_key_that_is_honoured_by_replicas_that_keep_nothing_is_not_called_ignored() {
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
    assert_eq!(verdict.finding, Finding::Fruitless);
    let expected = "a conversation stays on one replica with the key (on 4.0 without), and that does not keep it in its cache until the next turn";
    assert!(verdict.sentence.ends_with(expected), "{}", verdict.sentence);
}

#[test]
fn no_difference_and_both_high_is_unneeded() {
    let verdict = verdict(8, |c, t| noisy(0, c, t, 82), |c, t| noisy(1, c, t, 82));
    assert_eq!(verdict.finding, Finding::Unneeded);
    let expected = "no difference beyond chance, both high (87 % with the key, 87 % without): one replica, or a router that looks at the prompt itself";
    assert_eq!(verdict.sentence, expected);
}

#[test]
fn less_from_cache_with_the_key_is_harmful() {
    let verdict = verdict(8, |c, t| noisy(0, c, t, 82), |c, t| noisy(1, c, t, 20));
    assert_eq!(verdict.finding, Finding::Harmful);
    assert!(
        verdict
            .sentence
            .ends_with("x-session-affinity does harm here"),
        "{}",
        verdict.sentence
    );
}

#[test]
fn a_certain_difference_of_one_point_is_no_reason_to_send_a_header() {
    let verdict = verdict(8, |c, t| cached(0, c, t, 86), |c, t| cached(1, c, t, 87));
    assert_eq!(verdict.finding, Finding::Unneeded);
}

#[test]
fn one_lucky_conversation_of_eight_is_chance() {
    let verdict = verdict(
        8,
        |c, t| cached(0, c, t, 40),
        |c, t| cached(1, c, t, if c == 1 { 90 } else { 40 }),
    );
    assert_eq!(verdict.finding, Finding::Ignored);
}

#[test]
fn a_difference_that_may_be_chance_is_not_called_ignored() {
    // Two of eight conversations came back to their replica by chance.
    let verdict = verdict(
        8,
        |c, t| cached(0, c, t, if c <= 2 { 90 } else { 20 }),
        |c, t| cached(1, c, t, 90),
    );
    assert_eq!(verdict.finding, Finding::Unknown);
    let expected = "no difference beyond chance (90 % with the key, 38 % without), and too large a one to say that there is none: cannot tell; more conversations or turns can";
    assert_eq!(verdict.sentence, expected);
}

#[test]
fn five_conversations_are_too_few_and_six_are_enough() {
    let without: Says = |c, t| cached(0, c, t, 40);
    let with: Says = |c, t| cached(1, c, t, 90);
    let five = verdict(5, without, with);
    assert_eq!(five.finding, Finding::Unknown);
    assert_eq!(five.test, "5 conversations, and a verdict takes at least 6");
    assert_eq!(verdict(6, without, with).finding, Finding::Honoured);
}

#[test]
fn a_turn_that_only_one_arm_has_counts_in_neither() {
    let with: Says = |c, t| {
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
    // Were the last turn of the other arm counted, it alone would make the difference.
    let without: Says = |c, t| cached(0, c, t, if t == 5 { 90 } else { 44 });
    assert_eq!(verdict(8, without, with).finding, Finding::Ignored);
}

#[test]
fn without_cached_tokens_a_shorter_time_to_the_first_token_decides() {
    let verdict = verdict(
        8,
        |c, t| Record {
            ttft_ms: Some(600.0 + f64::from(t)),
            ..record(0, c, t)
        },
        |c, t| Record {
            ttft_ms: Some(200.0 + f64::from(t)),
            ..record(1, c, t)
        },
    );
    assert_eq!(verdict.finding, Finding::Honoured);
    let expected = "the endpoint reports no cached tokens; by the time to the first token alone, 203 ms with the key and 603 ms without: this endpoint seems to honour x-session-affinity";
    assert_eq!(verdict.sentence, expected);
}

#[test]
fn without_cached_tokens_and_without_a_difference_in_time_nobody_can_tell() {
    let verdict = verdict(8, |c, t| record(0, c, t), |c, t| record(1, c, t));
    assert_eq!(verdict.finding, Finding::Unknown);
    let expected = "no difference beyond chance, and so no way to tell whether x-session-affinity is ignored or not needed";
    assert!(verdict.sentence.ends_with(expected), "{}", verdict.sentence);
}

#[test]
fn without_cached_tokens_a_longer_time_to_the_first_token_is_harm() {
    let verdict = verdict(
        8,
        |c, t| Record {
            ttft_ms: Some(200.0),
            ..record(0, c, t)
        },
        |c, t| Record {
            ttft_ms: Some(600.0),
            ..record(1, c, t)
        },
    );
    assert_eq!(verdict.finding, Finding::Harmful);
    assert!(
        verdict
            .test
            .contains(": +400 ms, 99 % interval +400 to +400"),
        "{}",
        verdict.test
    );
}

#[test]
fn endless_differences_in_time_that_nobody_feels_are_none() {
    let verdict = verdict(
        8,
        |c, t| Record {
            ttft_ms: Some(2.0),
            ..record(0, c, t)
        },
        |c, t| Record {
            ttft_ms: Some(2.4 + f64::from(c) / 100.0),
            ..record(1, c, t)
        },
    );
    assert_eq!(verdict.finding, Finding::Unknown, "{}", verdict.sentence);
}

#[test]
fn an_endpoint_that_shows_neither_cached_tokens_nor_a_token_leaves_nothing_to_judge_by() {
    let silent: Says = |c, t| Record {
        ttft_ms: None,
        ..record(0, c, t)
    };
    let verdict = verdict(8, silent, |c, t| Record {
        ttft_ms: None,
        ..record(1, c, t)
    });
    assert_eq!(verdict.finding, Finding::Unknown);
    assert!(
        verdict.sentence.ends_with("nothing to judge by"),
        "{}",
        verdict.sentence
    );
}

#[test]
fn numbers_that_do_not_fit_together_are_told() {
    fn impossible(record: Record) -> Record {
        let usage = usage(u64::MAX, u64::MAX);
        Record { usage, ..record }
    }
    let verdict = verdict(
        8,
        |c, t| impossible(record(0, c, t)),
        |c, t| impossible(record(1, c, t)),
    );
    assert_eq!(verdict.finding, Finding::Unknown);
    assert!(
        verdict.sentence.contains("do not fit together"),
        "{}",
        verdict.sentence
    );
}

#[test]
fn cached_tokens_beside_the_prompt_are_shares_of_both() {
    fn apart(mut record: Record) -> Record {
        let cached = record.usage.cached_tokens.unwrap_or_default();
        record.usage.prompt_tokens = record.usage.prompt_tokens.map(|prompt| prompt - cached);
        record
    }
    let verdict = verdict(
        8,
        |c, t| apart(noisy(0, c, t, 44)),
        |c, t| apart(noisy(1, c, t, 82)),
    );
    let expected = "with the key 87 % of the prompt came from cache, without it 49 %: this endpoint honours x-session-affinity";
    assert_eq!(verdict.sentence, expected);
}

/// Three names, of which these are the shares from turn 2 on.
fn three(percents: [u64; 4], refused: &[Variant]) -> Verdict {
    let mut records = Vec::new();
    for (variant, percent) in percents.into_iter().enumerate() {
        if !refused.contains(&variant) {
            let turns = (1..=8).flat_map(|c| (1..=5).map(move |t| (c, t)));
            records.extend(turns.map(|(c, t)| noisy(variant, c, t, percent)));
        }
    }
    judge(&["x-a", "x-b", "x-c"], &mut records, refused, 1)
}

#[test]
fn of_several_names_the_one_that_is_honoured_is_named() {
    let verdict = three([44, 44, 82, 44], &[]);
    assert_eq!(verdict.finding, Finding::Honoured);
    let expected = "with x-b 87 % of the prompt came from cache, without a key 49 %: x-b is the name that this endpoint honours; x-a (49 %) and x-c (49 %) are ignored";
    assert_eq!(verdict.sentence, expected);
    let expected = "from turn 2 on; paired permutation test over 8 conversations, corrected for 3 names, p < 0.001: +38.0 points";
    assert!(verdict.test.starts_with(expected), "{}", verdict.test);
}

#[test]
fn of_several_honoured_names_the_best_is_named_first() {
    let verdict = three([44, 70, 82, 44], &[]);
    assert!(
        verdict.sentence.contains(
            "x-b gains most of the names that this endpoint honours; x-a (75 %) is honoured, too"
        ),
        "{}",
        verdict.sentence
    );
}

#[test]
fn of_several_names_a_harmful_and_a_refused_one_are_told() {
    let verdict = three([44, 20, 82, 44], &[3]);
    assert!(
        verdict
            .sentence
            .ends_with("; x-a (25 %) does harm here; x-c is refused"),
        "{}",
        verdict.sentence
    );
}

#[test]
fn where_no_name_is_honoured_all_are_ignored_or_not_needed() {
    let verdict = three([44, 44, 44, 44], &[]);
    assert_eq!(verdict.finding, Finding::Ignored);
    assert!(verdict.sentence.starts_with("none of 3 names makes a difference for the better beyond chance (49 % without a key); x-a"), "{}", verdict.sentence);
    assert_eq!(three([84, 84, 84, 84], &[]).finding, Finding::Unneeded);
}

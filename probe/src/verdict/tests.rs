use http::HeaderName;

use super::*;
use crate::chunk::Usage;
use crate::conversation::Arm;

const HEADER: HeaderName = HeaderName::from_static("x-session-affinity");

/// What an endpoint says in one arm, by conversation and turn.
type Says = fn(u32, u32) -> Record;

fn record(arm: Arm, conversation: u32, turn: u32) -> Record {
    Record {
        arm,
        conversation,
        turn,
        tries: 1,
        status: Some(200),
        ttft_ms: Some(100.0),
        total_ms: Some(200.0),
        usage: Usage::default(),
        replica: None,
        failure: None,
    }
}

/// Prompts of 1,000 tokens and 100 more each turn, with this share of them cached.
fn cached(arm: Arm, conversation: u32, turn: u32, percent: u64) -> Record {
    let prompt = 900 + 100 * u64::from(turn);
    let cached = if turn == 1 { 0 } else { prompt * percent / 100 };
    let usage = Usage {
        prompt_tokens: Some(prompt),
        cached_tokens: Some(cached),
        ..Usage::default()
    };
    Record {
        usage,
        ..record(arm, conversation, turn)
    }
}

/// Cached tokens that differ between the conversations and turns, in both arms alike on the whole.
fn noisy(arm: Arm, conversation: u32, turn: u32, percent: u64) -> Record {
    let sign = (conversation + turn + arm as u32) % 2;
    cached(arm, conversation, turn, percent + 10 * u64::from(sign))
}

fn verdict(conversations: u32, without: Says, with: Says) -> Verdict {
    let turns = || (1..=conversations).flat_map(|number| (1..=5).map(move |turn| (number, turn)));
    let without = turns().map(|(number, turn)| without(number, turn));
    let with = turns().map(|(number, turn)| with(number, turn));
    let records: Vec<_> = without.chain(with).collect();
    let arms = Arm::BOTH.map(|arm| Summary::of(arm, &records));
    Verdict::of(&records, &arms, &HEADER, 1)
}

#[test]
fn more_from_cache_with_the_key_is_honoured() {
    let verdict = verdict(
        8,
        |c, t| noisy(Arm::WithoutKey, c, t, 44),
        |c, t| noisy(Arm::WithKey, c, t, 82),
    );
    assert_eq!(verdict.finding, Finding::Honoured);
    let expected = "with the key 87 % of the prompt came from cache, without it 49 %: this endpoint honours x-session-affinity";
    assert_eq!(verdict.sentence, expected);
    let expected = "from turn 2 on; paired bootstrap over 8 conversations, 10000 draws: +38.0 points, 99 % interval";
    assert!(verdict.test.starts_with(expected), "{}", verdict.test);
}

#[test]
fn no_difference_and_both_low_is_ignored_or_lost() {
    let verdict = verdict(
        8,
        |c, t| noisy(Arm::WithoutKey, c, t, 44),
        |c, t| noisy(Arm::WithKey, c, t, 44),
    );
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
        |c, t| on_any(noisy(Arm::WithoutKey, c, t, 44)),
        |c, t| on_any(noisy(Arm::WithKey, c, t, 44)),
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
            ..noisy(Arm::WithoutKey, c, t, 10)
        },
        |c, t| Record {
            replica: Some("1".to_owned()),
            ..noisy(Arm::WithKey, c, t, 10)
        },
    );
    assert_eq!(verdict.finding, Finding::Fruitless);
    let expected = "a conversation stays on one replica with the key (on 4.0 without), and that does not keep it in its cache until the next turn";
    assert!(verdict.sentence.ends_with(expected), "{}", verdict.sentence);
}

#[test]
fn no_difference_and_both_high_is_unneeded() {
    let verdict = verdict(
        8,
        |c, t| noisy(Arm::WithoutKey, c, t, 82),
        |c, t| noisy(Arm::WithKey, c, t, 82),
    );
    assert_eq!(verdict.finding, Finding::Unneeded);
    let expected = "no difference beyond chance, both high (87 % with the key, 87 % without): one replica, or a router that looks at the prompt itself";
    assert_eq!(verdict.sentence, expected);
}

#[test]
fn less_from_cache_with_the_key_is_harmful() {
    let verdict = verdict(
        8,
        |c, t| noisy(Arm::WithoutKey, c, t, 82),
        |c, t| noisy(Arm::WithKey, c, t, 20),
    );
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
    let verdict = verdict(
        8,
        |c, t| cached(Arm::WithoutKey, c, t, 86),
        |c, t| cached(Arm::WithKey, c, t, 87),
    );
    assert_eq!(verdict.finding, Finding::Unneeded);
}

#[test]
fn one_lucky_conversation_of_eight_is_chance() {
    let verdict = verdict(
        8,
        |c, t| cached(Arm::WithoutKey, c, t, 40),
        |c, t| cached(Arm::WithKey, c, t, if c == 1 { 90 } else { 40 }),
    );
    assert_eq!(verdict.finding, Finding::Ignored);
}

#[test]
fn five_conversations_are_too_few_and_six_are_enough() {
    let without: Says = |c, t| cached(Arm::WithoutKey, c, t, 40);
    let with: Says = |c, t| cached(Arm::WithKey, c, t, 90);
    let five = verdict(5, without, with);
    assert_eq!(five.finding, Finding::Unknown);
    assert_eq!(five.test, "5 conversations, and a verdict takes at least 6");
    assert_eq!(verdict(6, without, with).finding, Finding::Honoured);
}

#[test]
fn a_turn_that_only_one_arm_has_counts_in_neither() {
    let with: Says = |c, t| {
        let record = cached(Arm::WithKey, c, t, 44);
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
    let without: Says = |c, t| cached(Arm::WithoutKey, c, t, if t == 5 { 90 } else { 44 });
    assert_eq!(verdict(8, without, with).finding, Finding::Ignored);
}

#[test]
fn without_cached_tokens_a_shorter_time_to_the_first_token_decides() {
    let verdict = verdict(
        8,
        |c, t| Record {
            ttft_ms: Some(600.0 + f64::from(t)),
            ..record(Arm::WithoutKey, c, t)
        },
        |c, t| Record {
            ttft_ms: Some(200.0 + f64::from(t)),
            ..record(Arm::WithKey, c, t)
        },
    );
    assert_eq!(verdict.finding, Finding::Honoured);
    let expected = "the endpoint reports no cached tokens; by the time to the first token alone, 203 ms with the key and 603 ms without: this endpoint seems to honour x-session-affinity";
    assert_eq!(verdict.sentence, expected);
}

#[test]
fn without_cached_tokens_and_without_a_difference_in_time_nobody_can_tell() {
    let verdict = verdict(
        8,
        |c, t| record(Arm::WithoutKey, c, t),
        |c, t| record(Arm::WithKey, c, t),
    );
    assert_eq!(verdict.finding, Finding::Unknown);
    let expected = "no difference beyond chance, and so no way to tell whether x-session-affinity is ignored or not needed";
    assert!(verdict.sentence.ends_with(expected), "{}", verdict.sentence);
}

/// Eight conversations of six turns over this many replicas, each turn on any of these in both arms.
fn by_chance(replicas: u32, seed: u64) -> Verdict {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut records = Vec::new();
    for (arm, conversation) in Arm::BOTH
        .into_iter()
        .flat_map(|arm| (1..=8).map(move |c| (arm, c)))
    {
        let mut warm = std::collections::HashMap::new();
        for turn in 1..=6 {
            let prompt = 1200 + 58 * u64::from(turn);
            let cached = warm.insert(rng.u32(..replicas), prompt).unwrap_or(0);
            let (prompt_tokens, cached_tokens) = (Some(prompt), Some(cached));
            let usage = Usage {
                prompt_tokens,
                cached_tokens,
                ..Usage::default()
            };
            records.push(Record {
                usage,
                ..record(arm, conversation, turn)
            });
        }
    }
    let arms = Arm::BOTH.map(|arm| Summary::of(arm, &records));
    Verdict::of(&records, &arms, &HEADER, seed)
}

#[test]
fn a_header_that_is_ignored_is_rarely_found_to_make_a_difference() {
    for replicas in [2, 4] {
        let findings = (1..=100).map(|seed| by_chance(replicas, seed).finding);
        let ignored = findings
            .filter(|finding| *finding == Finding::Ignored)
            .count();
        println!("{ignored} of 100 runs over {replicas} replicas");
        assert!(
            ignored >= 90,
            "{ignored} of 100 runs over {replicas} replicas"
        );
    }
}

#[test]
fn without_cached_tokens_a_longer_time_to_the_first_token_is_harm() {
    let verdict = verdict(
        8,
        |c, t| Record {
            ttft_ms: Some(200.0),
            ..record(Arm::WithoutKey, c, t)
        },
        |c, t| Record {
            ttft_ms: Some(600.0),
            ..record(Arm::WithKey, c, t)
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

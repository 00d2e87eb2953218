//! How often chance alone is taken for a difference, counted over simulated runs.

use super::tests::{judge, usage};
use super::*;

/// Simulated runs of each kind.
const RUNS: u64 = 500;

/// The most of them that may be called a difference: 2 %.
const MOST: usize = 10;

/// Makes the turns of a conversation, one after the other.
type Turns = Box<dyn FnMut(&mut fastrand::Rng, u32) -> Record>;

const NAMES: [&str; 4] = ["x-a", "x-b", "x-c", "x-d"];

/// Runs eight conversations of six turns in variants that are all alike, and counts the runs that are
/// called a gain or a harm.
fn false_findings(names: usize, one: impl Fn(&mut fastrand::Rng) -> Turns) -> usize {
    let run = |seed| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut records = Vec::new();
        for variant in 0..=names {
            for conversation in 1..=8 {
                let mut next = one(&mut rng);
                records.extend((1..=6).map(|turn| Record {
                    variant,
                    conversation,
                    turn,
                    ..next(&mut rng, turn)
                }));
            }
        }
        judge(&NAMES[..names], &mut records, &[], seed)
    };
    let is_false = |verdict: &Verdict| {
        let differs =
            |judged: &Judged| matches!(judged.finding, Finding::Honoured | Finding::Harmful);
        verdict.variants.iter().any(differs)
    };
    (1..=RUNS).map(run).filter(is_false).count()
}

fn held(names: usize, what: &str, found: usize) {
    println!("{found} of {RUNS} runs, {names} names, {what}");
    assert!(
        found < MOST,
        "{found} of {RUNS} runs, {names} names, {what}"
    );
}

/// A conversation whose turns reach any of so many replicas.
fn anywhere(replicas: usize) -> impl Fn(&mut fastrand::Rng) -> Turns {
    move |_| {
        let mut warm = vec![0; replicas];
        Box::new(move |rng, turn| {
            let prompt = 1200 + 58 * u64::from(turn);
            let cached = std::mem::replace(&mut warm[rng.usize(..replicas)], prompt);
            let usage = usage(prompt, cached);
            Record {
                usage,
                ..Record::new(0, 1, turn)
            }
        })
    }
}

/// Requests whose time is log-normal around this median, and depends on the conversation by a part.
fn log_normal(
    median: f64,
    spread: f64,
    of_conversation: f64,
) -> impl Fn(&mut fastrand::Rng) -> Turns {
    move |rng| {
        let own = of_conversation * normal(rng);
        Box::new(move |rng, turn| Record {
            ttft_ms: Some(median * (own + spread * normal(rng)).exp()),
            ..Record::new(0, 1, turn)
        })
    }
}

/// A normal number, as the sum of twelve even ones.
fn normal(rng: &mut fastrand::Rng) -> f64 {
    (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0
}

#[test]
fn by_tokens_an_ignored_key_is_called_a_difference_in_under_two_percent_of_runs() {
    for replicas in [2, 3, 4, 16] {
        held(
            1,
            &format!("{replicas} replicas"),
            false_findings(1, anywhere(replicas)),
        );
    }
}

#[test]
fn by_time_a_key_that_changes_nothing_is_called_a_difference_in_under_two_percent_of_runs() {
    for (median, spread, of_conversation) in [
        (30.0, 0.5, 0.0),
        (30.0, 1.0, 0.0),
        (500.0, 0.5, 0.5),
        (500.0, 2.0, 0.0),
        (2.0, 0.01, 0.0),
    ] {
        let found = false_findings(1, log_normal(median, spread, of_conversation));
        held(
            1,
            &format!("median {median} ms, spread {spread} and {of_conversation}"),
            found,
        );
    }
}

#[test]
fn four_names_are_called_a_difference_no_more_often_than_one() {
    // Dealing is slower than trying every way: fewer kinds.
    held(4, "4 replicas", false_findings(4, anywhere(4)));
}

#[test]
fn a_key_that_is_honoured_is_found_in_almost_every_run() {
    let found = (1..=RUNS).filter(|seed| {
        let mut rng = fastrand::Rng::with_seed(*seed);
        let mut records = Vec::new();
        for (variant, replicas) in [(0, 4), (1, 1)] {
            for conversation in 1..=8 {
                let mut next = anywhere(replicas)(&mut rng);
                records.extend((1..=6).map(|turn| Record {
                    variant,
                    conversation,
                    turn,
                    ..next(&mut rng, turn)
                }));
            }
        }
        judge(&NAMES[..1], &mut records, &[], *seed).finding == Finding::Honoured
    });
    let found = found.count();
    assert!(found >= 490, "{found} of {RUNS}");
}

//! The rate of false findings, counted over simulated runs.

use super::tests::{judge, usage};
use super::*;

/// The number of simulated runs of each kind.
const RUNS: u64 = 500;

/// The number of false findings that fails a test: 2 % of the runs.
const MOST: usize = 10;

/// Returns the turns of a conversation, one after the other.
type Turns = Box<dyn FnMut(&mut fastrand::Rng, u32) -> Record>;

const NAMES: [&str; 4] = ["x-a", "x-b", "x-c", "x-d"];

/// Runs eight conversations of six turns in identical variants, and counts the runs with a finding of
/// honored or harmful.
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
            |judged: &Judged| matches!(judged.finding, Finding::Honored | Finding::Harmful);
        verdict.variants.iter().any(differs)
    };
    (1..=RUNS).map(run).filter(is_false).count()
}

fn assert_rare(names: usize, what: &str, found: usize) {
    println!("{found} false findings in {RUNS} runs with {names} names, {what}");
    assert!(
        found < MOST,
        "{found} false findings in {RUNS} runs with {names} names, {what}; expected fewer than {MOST}"
    );
}

/// A conversation whose turns reach random replicas.
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

/// Requests with log-normal times around this median; one part of the spread belongs to the conversation.
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

/// Returns an approximately normal number, as the sum of twelve uniform ones.
fn normal(rng: &mut fastrand::Rng) -> f64 {
    (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0
}

#[test]
fn by_tokens_fewer_than_two_percent_of_runs_have_a_false_finding() {
    for replicas in [2, 3, 4, 16] {
        assert_rare(
            1,
            &format!("{replicas} replicas"),
            false_findings(1, anywhere(replicas)),
        );
    }
}

#[test]
fn by_time_fewer_than_two_percent_of_runs_have_a_false_finding() {
    for (median, spread, of_conversation) in [
        (30.0, 0.5, 0.0),
        (30.0, 1.0, 0.0),
        (500.0, 0.5, 0.5),
        (500.0, 2.0, 0.0),
        (2.0, 0.01, 0.0),
    ] {
        let found = false_findings(1, log_normal(median, spread, of_conversation));
        assert_rare(
            1,
            &format!("median {median} ms, spread {spread} and {of_conversation}"),
            found,
        );
    }
}

#[test]
fn with_four_names_fewer_than_two_percent_of_runs_have_a_false_finding() {
    // Random permutations are slower than exhaustive ones, so one kind has to do.
    assert_rare(4, "4 replicas", false_findings(4, anywhere(4)));
}

#[test]
fn an_honored_key_is_found_in_at_least_490_of_500_runs() {
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
        judge(&NAMES[..1], &mut records, &[], *seed).finding == Finding::Honored
    });
    let found = found.count();
    assert!(
        found >= 490,
        "found in {found} of {RUNS} runs, expected at least 490"
    );
}

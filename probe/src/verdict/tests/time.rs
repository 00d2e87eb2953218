use super::*;

#[test]
fn without_cached_tokens_a_shorter_time_to_the_first_token_means_honored() {
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
    assert_eq!(verdict.finding, Finding::Honored);
    let expected = "this endpoint seems to honor x-session-affinity. From turn 2 on, the first token took 203 ms with the key, 603 ms without it. The endpoint reports no cached tokens, so this rests on the time to the first token alone.";
    assert_eq!(verdict.sentence, expected);
}

#[test]
fn without_cached_tokens_equal_times_are_inconclusive() {
    let verdict = verdict(8, |c, t| record(0, c, t), |c, t| record(1, c, t));
    assert_eq!(verdict.finding, Finding::Inconclusive);
    let expected = "inconclusive. x-session-affinity makes no clear difference, so it is ignored or not needed. From ";
    assert!(
        verdict.sentence.starts_with(expected),
        "{}",
        verdict.sentence
    );
}

#[test]
fn without_cached_tokens_a_longer_time_to_the_first_token_means_harmful() {
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
            .contains("+400 ms, 99 % confidence interval +400 to +400; "),
        "{}",
        verdict.test
    );
}

#[test]
fn a_difference_below_ten_milliseconds_is_too_small_to_count() {
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
    assert_eq!(
        verdict.finding,
        Finding::Inconclusive,
        "{}",
        verdict.sentence
    );
}

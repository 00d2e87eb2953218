use super::*;

/// Judges three names; the percentages are those without a key and with each name.
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
fn the_verdict_names_the_honored_one_of_several_names() {
    let verdict = three([44, 44, 82, 44], &[]);
    assert_eq!(verdict.finding, Finding::Honored);
    let expected = "this endpoint honors x-b. From turn 2 on, 87 % of prompt tokens came from cache with it, 49 % without a key. x-a (49 %) and x-c (49 %) are ignored.";
    assert_eq!(verdict.sentence, expected);
    let expected =
        "; p < 0.001 by a paired permutation test over 8 conversations, corrected for 3 names";
    assert!(verdict.test.ends_with(expected), "{}", verdict.test);
}

#[test]
fn the_best_of_several_honored_names_comes_first() {
    let verdict = three([44, 70, 82, 44], &[]);
    assert!(
        verdict.sentence.starts_with("this endpoint honors x-b. ")
            && verdict
                .sentence
                .contains(" without a key. x-a (75 %) is honored too, but gains less."),
        "{}",
        verdict.sentence
    );
}

#[test]
fn harmful_and_refused_names_are_listed() {
    let verdict = three([44, 20, 82, 44], &[3]);
    assert!(
        verdict
            .sentence
            .ends_with(" x-a (25 %) is harmful. x-c is refused."),
        "{}",
        verdict.sentence
    );
}

#[test]
fn if_no_name_is_honored_all_are_ignored_or_not_needed() {
    let verdict = three([44, 44, 44, 44], &[]);
    assert_eq!(verdict.finding, Finding::Ignored);
    assert!(verdict.sentence.starts_with("none of the 3 names clearly helps. From turn 2 on, 49 % of prompt tokens came from cache without a key. x-a (49 %), "), "{}", verdict.sentence);
    assert_eq!(three([84, 84, 84, 84], &[]).finding, Finding::NotNeeded);
}

use super::*;

fn close(value: f64, expected: f64, tolerance: f64) {
    assert!(
        (value - expected).abs() <= tolerance,
        "expected {expected}, found {value}"
    );
}

#[test]
fn a_percentile_is_one_of_the_values() {
    let values = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(percentile(&values, 50), Some(2.0));
    assert_eq!(percentile(&values, 90), Some(4.0));
    assert_eq!(percentile(&values, 0), Some(1.0));
    assert_eq!(percentile(&[7.0], 99), Some(7.0));
    assert_eq!(percentile(&[], 50), None);
}

#[test]
fn quantiles_agree_with_published_tables() {
    for (quantile, freedom, expected) in [
        (0.995, 5.0, 4.032),
        (0.995, 7.0, 3.499),
        (0.995, 30.0, 2.750),
        (0.975, 10.0, 2.228),
        (0.9995, 7.0, 5.408),
    ] {
        close(student(quantile, freedom), expected, 0.011 * expected);
    }
}

#[test]
fn equal_differences_are_significant() {
    let rows = vec![vec![0.25, 0.75]; 8];
    let estimate = compare(&rows, 1)[0];
    assert_eq!(
        (estimate.value, estimate.low, estimate.high),
        (0.5, 0.5, 0.5)
    );
    // Two permutations have eight equal signs: all plus, and all minus.
    close(estimate.p, 2.0 / 256.0, 1e-12);
    assert!(estimate.is_above());
}

#[test]
fn one_opposite_difference_of_eight_makes_the_result_insignificant() {
    let rows: Vec<_> = (0..8)
        .map(|row| vec![0.5, if row == 0 { 0.2 } else { 0.6 }])
        .collect();
    assert!(!compare(&rows, 1)[0].is_above());
}

#[test]
fn equal_values_have_a_p_value_of_one() {
    let estimate = compare(&vec![vec![0.5, 0.5, 0.5]; 8], 1)[1];
    assert_eq!((estimate.value, estimate.p), (0.0, 1.0));
    assert!(!estimate.is_above());
}

#[test]
fn random_permutations_agree_with_exhaustive_ones() {
    for shift in [0.0, 0.8, 1.5, 2.5] {
        let rows: Vec<_> = (0..10)
            .map(|n| vec![0.0, f64::from(n * 7 % 10) - 4.0 + shift])
            .collect();
        let tried = exhaustive(&differences(&rows, 1));
        close(sampled(&rows, &[1], 1), tried, 0.05);
    }
}

#[test]
fn more_names_raise_the_p_value() {
    let noise = |row: u32, variant: u32| f64::from((row * 7 + variant * 13) % 10) / 100.0;
    let rows = |variants: u32| {
        let row = |row| {
            (0..variants)
                .map(|v| noise(row, v) + if v == 1 { 0.05 } else { 0.0 })
                .collect()
        };
        (0..8).map(row).collect::<Vec<Vec<f64>>>()
    };
    let p = |names| sampled(&rows(names), &(1..names as usize).collect::<Vec<_>>(), 1);
    assert!(
        p(6) > 1.5 * p(2),
        "p of 6 variants is {}, p of 2 is {}",
        p(6),
        p(2)
    );
}

#[test]
fn a_large_difference_does_not_hide_a_smaller_significant_one() {
    let rows: Vec<_> = (0..8)
        .map(|row| vec![0.4, 0.9, 0.6 + f64::from(row) / 1000.0, 0.4])
        .collect();
    let above: Vec<_> = compare(&rows, 1)
        .into_iter()
        .map(Estimate::is_above)
        .collect();
    assert_eq!(above, [true, true, false]);
}

#[test]
fn the_same_seed_gives_the_same_result() {
    let rows: Vec<_> = (0..20)
        .map(|n| vec![0.0, f64::from(n % 7) - 2.0, f64::from(n % 3)])
        .collect();
    assert_eq!(compare(&rows, 3), compare(&rows, 3));
}

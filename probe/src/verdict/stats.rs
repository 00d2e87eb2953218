//! The test behind a verdict: labels dealt anew, and an interval beside it.

use fastrand::Rng;
use serde::Serialize;

/// How often the labels are dealt anew, where these are too many ways to try each.
pub(crate) const DEALS: u32 = 9_999;

/// The most conversations of one name for which every way is tried: 4,096.
const EVERY_WAY: usize = 12;

/// The part of the deals that may make as large a difference, for it to be beyond chance.
pub(crate) const LEVEL: f64 = 0.01;

/// So many deals with as large a difference are enough to know that it is not rare.
const ENOUGH: u32 = 250;

/// What rounding may make of two equal numbers.
const EPSILON: f64 = 1e-9;

/// A difference with its 99 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// The part of the deals that make as large a difference, of all names that are left.
    pub(crate) p: f64,
    /// The largest `p` that is beyond chance.
    #[serde(skip)]
    level: f64,
}

impl Estimate {
    /// Whether it is beyond chance and above zero.
    pub(crate) fn is_above(self) -> bool {
        self.p <= self.level && self.low > 0.0
    }

    /// Returns the estimate in another unit; a falling function turns it round.
    pub(crate) fn map(self, unit: impl Fn(f64) -> f64) -> Self {
        let (one, other) = (unit(self.low), unit(self.high));
        Self {
            value: unit(self.value),
            low: one.min(other),
            high: one.max(other),
            ..self
        }
    }
}

/// Returns the value that so many percent of the sorted values do not exceed (nearest rank).
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Compares every variant with the first, over rows that have a value of each.
///
/// Were the variants alike, the values of a row could stand in any order. So they are dealt anew, row by row, and
/// the part of the deals is counted in which the largest of all differences, each in units of its own error, is as
/// large as the one that was seen. Having asked for several names makes that largest one larger, and so corrects
/// for itself (the step-down max-T of Westfall and Young). Returns one estimate for each variant but the first.
pub(crate) fn compare(rows: &[Vec<f64>], seed: u64) -> Vec<Estimate> {
    let variants = rows.first().map_or(0, Vec::len);
    let mut left: Vec<usize> = (1..variants).collect();
    let size = |variant: usize| weight(differences(rows, variant).iter().copied());
    left.sort_by(|one, other| size(*other).total_cmp(&size(*one)));
    let mut estimates = vec![None; variants];
    let mut p = 0f64;
    for first in 0..left.len() {
        let (names, rest) = (left.len(), &left[first..]);
        let level = level(rows.len(), rest.len());
        // What is larger was by chance, and so is this.
        if p <= level {
            p = part_of_deals(rows, rest, seed).max(p);
        }
        estimates[rest[0]] = Some(Estimate {
            p,
            level,
            ..interval(rows, rest[0], names)
        });
    }
    estimates.into_iter().flatten().collect()
}

/// The least that so few rows can show, where that is more than the level: all of 6 differences have the same
/// sign in 3 of 100 deals, of 7 in 1.6.
fn level(rows: usize, names: usize) -> f64 {
    let least = 2f64.powi(1 - i32::try_from(rows).unwrap_or(i32::MAX));
    if names == 1 { LEVEL.max(least) } else { LEVEL }
}

fn differences(rows: &[Vec<f64>], variant: usize) -> Vec<f64> {
    rows.iter().map(|row| row[variant] - row[0]).collect()
}

/// Returns how large differences are on the whole, by their spread.
fn weight(differences: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut sum, mut squares) = (0.0, 0f64, 0f64);
    for difference in differences {
        count += 1.0;
        sum += difference;
        squares += difference * difference;
    }
    let spread = (squares / count - (sum / count).powi(2)).max(0.0).sqrt();
    (sum / count).abs() / (spread + EPSILON)
}

/// Returns the part of the deals in which any of these variants differs as much as the first of them does.
fn part_of_deals(rows: &[Vec<f64>], variants: &[usize], seed: u64) -> f64 {
    match variants {
        [variant] if rows.len() <= EVERY_WAY => every_way(&differences(rows, *variant)),
        _ => dealt(rows, variants, seed),
    }
}

/// Between two variants, a deal turns some of the differences round.
fn every_way(differences: &[f64]) -> f64 {
    let observed = weight(differences.iter().copied()) * (1.0 - EPSILON);
    let ways = 1u32 << differences.len();
    let turned = |way: u32| {
        let signed = differences.iter().enumerate();
        signed.map(move |(row, difference)| {
            if way >> row & 1 == 0 {
                *difference
            } else {
                -difference
            }
        })
    };
    let as_large = (0..ways)
        .filter(|way| weight(turned(*way)) >= observed)
        .count();
    f64::from(u32::try_from(as_large).unwrap_or(ways)) / f64::from(ways)
}

fn dealt(rows: &[Vec<f64>], variants: &[usize], seed: u64) -> f64 {
    let observed = weight(differences(rows, variants[0]).into_iter()) * (1.0 - EPSILON);
    let mut rng = Rng::with_seed(seed);
    let kept = |row: &Vec<f64>| {
        [0].iter()
            .chain(variants)
            .map(|variant| row[*variant])
            .collect()
    };
    let mut hands: Vec<Vec<f64>> = rows.iter().map(kept).collect();
    let mut as_large = 0;
    for deal in 1..=DEALS {
        for hand in &mut hands {
            rng.shuffle(hand);
        }
        let is_as_large =
            |place: usize| weight(hands.iter().map(|hand| hand[place] - hand[0])) >= observed;
        as_large += u32::from((1..=variants.len()).any(is_as_large));
        // More deals would only say more exactly how far from rare it is (Besag and Clifford).
        if as_large == ENOUGH {
            return f64::from(ENOUGH) / f64::from(deal);
        }
    }
    // What was seen is one of the deals.
    f64::from(as_large + 1) / f64::from(DEALS + 1)
}

/// Returns Student's interval for the mean difference, at 99 % for all names together (Bonferroni).
fn interval(rows: &[Vec<f64>], variant: usize, names: usize) -> Estimate {
    let differences = differences(rows, variant);
    let value = mean(&differences);
    #[expect(clippy::cast_precision_loss, reason = "there are at most a thousand")]
    let (count, names) = (differences.len() as f64, names as f64);
    let squares = differences
        .iter()
        .map(|difference| (difference - value).powi(2))
        .sum::<f64>();
    let error = (squares / (count - 1.0).max(1.0) / count).sqrt();
    let reach = student(1.0 - LEVEL / 2.0 / names, count - 1.0) * error;
    Estimate {
        value,
        low: value - reach,
        high: value + reach,
        p: 1.0,
        level: 0.0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are at most a thousand")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Returns a quantile of Student's distribution, for five degrees of freedom or more.
///
/// Abramowitz and Stegun, 26.2.23 and 26.7.5; the error is below one in a hundred at five.
fn student(quantile: f64, freedom: f64) -> f64 {
    let t = (-2.0 * (1.0 - quantile).ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let z = t - above / below;
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    z + (z3 + z) / (4.0 * freedom)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * freedom.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * freedom.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f64, expected: f64, tolerance: f64) {
        assert!(
            (value - expected).abs() <= tolerance,
            "{value} instead of {expected}"
        );
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(percentile(&values, 50), Some(2.0));
        assert_eq!(percentile(&values, 90), Some(4.0));
        assert_eq!(percentile(&values, 0), Some(1.0));
        assert_eq!(percentile(&[7.0], 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn the_quantiles_are_those_of_the_tables() {
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
    fn equal_differences_leave_no_doubt() {
        let rows = vec![vec![0.25, 0.75]; 8];
        let estimate = compare(&rows, 1)[0];
        assert_eq!(
            (estimate.value, estimate.low, estimate.high),
            (0.5, 0.5, 0.5)
        );
        // All the same sign, one way or the other.
        close(estimate.p, 2.0 / 256.0, 1e-12);
        assert!(estimate.is_above());
    }

    #[test]
    fn one_of_eight_differences_the_other_way_is_chance() {
        let rows: Vec<_> = (0..8)
            .map(|row| vec![0.5, if row == 0 { 0.2 } else { 0.6 }])
            .collect();
        assert!(!compare(&rows, 1)[0].is_above());
    }

    #[test]
    fn no_difference_at_all_is_none() {
        let estimate = compare(&vec![vec![0.5, 0.5, 0.5]; 8], 1)[1];
        assert_eq!((estimate.value, estimate.p), (0.0, 1.0));
        assert!(!estimate.is_above());
    }

    #[test]
    fn dealing_at_random_counts_what_trying_every_way_counts() {
        for shift in [0.0, 0.8, 1.5, 2.5] {
            let rows: Vec<_> = (0..10)
                .map(|n| vec![0.0, f64::from(n * 7 % 10) - 4.0 + shift])
                .collect();
            let tried = every_way(&differences(&rows, 1));
            close(dealt(&rows, &[1], 1), tried, 0.05);
        }
    }

    #[test]
    fn asking_for_more_names_makes_each_difference_less_telling() {
        let noise = |row: u32, variant: u32| f64::from((row * 7 + variant * 13) % 10) / 100.0;
        let rows = |variants: u32| {
            let row = |row| {
                (0..variants)
                    .map(|v| noise(row, v) + if v == 1 { 0.05 } else { 0.0 })
                    .collect()
            };
            (0..8).map(row).collect::<Vec<Vec<f64>>>()
        };
        let p = |names| dealt(&rows(names), &(1..names as usize).collect::<Vec<_>>(), 1);
        assert!(p(6) > 1.5 * p(2), "{} and {}", p(6), p(2));
    }

    #[test]
    fn a_name_that_matters_does_not_hide_another_that_matters_less() {
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
    fn a_seed_gives_the_same_result_again() {
        let rows: Vec<_> = (0..20)
            .map(|n| vec![0.0, f64::from(n % 7) - 2.0, f64::from(n % 3)])
            .collect();
        assert_eq!(compare(&rows, 3), compare(&rows, 3));
    }
}

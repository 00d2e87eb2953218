//! The test behind a verdict: a permutation test and a confidence interval.

use fastrand::Rng;
use serde::Serialize;

/// The number of random permutations, if there are too many to try every one.
const PERMUTATIONS: u32 = 9_999;

/// The most conversations for which every permutation of one name is tried: 4,096 of them.
const EXHAUSTIVE: usize = 12;

/// The significance level.
const LEVEL: f64 = 0.01;

/// After this many permutations with as large a difference, the p-value is clearly not small.
const ENOUGH: u32 = 250;

/// The tolerance for rounding errors between equal numbers.
const EPSILON: f64 = 1e-9;

/// A difference with its 99 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// The p-value, corrected for the number of names.
    pub(crate) p: f64,
    /// The largest `p` that is significant.
    #[serde(skip)]
    level: f64,
}

impl Estimate {
    /// Whether the difference is significant and above zero.
    pub(crate) fn is_above(self) -> bool {
        self.p <= self.level && self.low > 0.0
    }

    /// Returns the estimate in a different unit; a decreasing function swaps its bounds.
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

/// Returns a percentile of sorted values, by the nearest-rank method.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Compares every variant with the first, over rows that have one value per variant.
///
/// If all variants were alike, the values in a row could be in any order. The test permutes each row. The
/// p-value is the share of permutations in which the largest difference, in units of its own spread, is at
/// least as large as the observed one. Taking the largest over all names corrects for multiple comparisons
/// (the step-down max-T of Westfall and Young). Returns one estimate for each variant except the first.
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
        // If a larger difference was not significant, a smaller one is not either.
        if p <= level {
            p = p_value(rows, rest, seed).max(p);
        }
        estimates[rest[0]] = Some(Estimate {
            p,
            level,
            ..interval(rows, rest[0], names)
        });
    }
    estimates.into_iter().flatten().collect()
}

/// Returns the significance level, or the smallest p-value that so few rows can reach if that is larger: 3 %
/// with 6 rows, 1.6 % with 7.
fn level(rows: usize, names: usize) -> f64 {
    let least = 2f64.powi(1 - i32::try_from(rows).unwrap_or(i32::MAX));
    if names == 1 { LEVEL.max(least) } else { LEVEL }
}

fn differences(rows: &[Vec<f64>], variant: usize) -> Vec<f64> {
    rows.iter().map(|row| row[variant] - row[0]).collect()
}

/// Returns the size of the mean difference, in units of the spread.
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

/// Returns the share of permutations in which any of these variants differs at least as much as the first.
fn p_value(rows: &[Vec<f64>], variants: &[usize], seed: u64) -> f64 {
    match variants {
        [variant] if rows.len() <= EXHAUSTIVE => exhaustive(&differences(rows, *variant)),
        _ => sampled(rows, variants, seed),
    }
}

/// Tries every permutation of two variants; each flips the sign of some differences.
fn exhaustive(differences: &[f64]) -> f64 {
    let observed = weight(differences.iter().copied()) * (1.0 - EPSILON);
    let permutations = 1u32 << differences.len();
    let flipped = |permutation: u32| {
        let signed = differences.iter().enumerate();
        signed.map(move |(row, difference)| {
            if permutation >> row & 1 == 0 {
                *difference
            } else {
                -difference
            }
        })
    };
    let as_large = (0..permutations)
        .filter(|permutation| weight(flipped(*permutation)) >= observed)
        .count();
    f64::from(u32::try_from(as_large).unwrap_or(permutations)) / f64::from(permutations)
}

fn sampled(rows: &[Vec<f64>], variants: &[usize], seed: u64) -> f64 {
    let observed = weight(differences(rows, variants[0]).into_iter()) * (1.0 - EPSILON);
    let mut rng = Rng::with_seed(seed);
    let kept = |row: &Vec<f64>| {
        [0].iter()
            .chain(variants)
            .map(|variant| row[*variant])
            .collect()
    };
    let mut permuted: Vec<Vec<f64>> = rows.iter().map(kept).collect();
    let mut as_large = 0;
    for permutation in 1..=PERMUTATIONS {
        for row in &mut permuted {
            rng.shuffle(row);
        }
        let is_as_large =
            |column: usize| weight(permuted.iter().map(|row| row[column] - row[0])) >= observed;
        as_large += u32::from((1..=variants.len()).any(is_as_large));
        // More permutations would only make a large p-value more exact (Besag and Clifford).
        if as_large == ENOUGH {
            return f64::from(ENOUGH) / f64::from(permutation);
        }
    }
    // The observed order is one of the permutations.
    f64::from(as_large + 1) / f64::from(PERMUTATIONS + 1)
}

/// Returns Student's confidence interval for the mean difference, at 99 % for all names together (Bonferroni).
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

/// Returns a quantile of Student's distribution, for five or more degrees of freedom.
///
/// Abramowitz and Stegun, 26.2.23 and 26.7.5; the error is below 1 % at five degrees of freedom.
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
mod tests;

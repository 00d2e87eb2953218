//! The finding for each name, from the records of a run.

use super::stats::{Estimate, compare};
use super::{Compared, Evidence, FEWEST, Finding, Judged, pairs};
use crate::variant::{Variant, WITHOUT_KEY};

/// The smallest difference of the cached share that counts: two percentage points.
const LEAST_SHARE: f64 = 0.02;

/// The smallest difference of the time to the first token that counts: both a share of the longer
/// time, and milliseconds.
const LEAST_TIME: f64 = 0.1;
const LEAST_MS: f64 = 10.0;

/// The share of the previous turn that has to come from cache to count as high.
///
/// In six turns, two replicas in round robin reach about 0.8. One replica reaches 1, minus what is lost
/// to partial blocks.
const HIGH: f64 = 0.9;

/// The p-value up to which a difference that is not significant is still not called "no difference".
const DOUBT: f64 = 0.05;

impl Evidence<'_> {
    /// Judges every name by the time to the first token alone.
    pub(crate) fn times(&self) -> Vec<Judged> {
        self.by_time()
            .map(|compared| compared.judged)
            .unwrap_or_default()
    }

    /// The error is the number of conversations, if there are too few.
    pub(super) fn by_tokens(&self) -> Result<Compared, usize> {
        let tried = self.tried();
        let rows = enough(pairs::shares(self.records, &tried))?;
        let share = |variant: Variant| {
            self.summaries[variant]
                .tokens_from_turn_2
                .share()
                .unwrap_or_default()
        };
        let reuse: Vec<_> = tried
            .iter()
            .map(|variant| pairs::reuse(self.records, *variant))
            .collect();
        let differences = compare(&rows, self.seed).into_iter();
        let findings = differences.zip(1..).map(|(difference, index)| {
            let variant = tried[index];
            let replicas = self.summaries[variant].replicas_per_conversation;
            let finding = of_tokens(difference, [reuse[0], reuse[index]], replicas);
            // Shares cannot differ by more than 1.
            let difference = difference.map(|share| share.clamp(-1.0, 1.0));
            (variant, finding, difference, share(variant))
        });
        Ok(self.compared(rows.len(), share(WITHOUT_KEY), findings))
    }

    /// The error is the number of conversations, if there are too few.
    pub(super) fn by_time(&self) -> Result<Compared, usize> {
        let tried = self.tried();
        let rows = enough(pairs::log_times(self.records, &tried))?;
        #[expect(clippy::cast_precision_loss, reason = "there are at most a thousand")]
        let time = |index: usize| {
            (rows.iter().map(|row| row[index]).sum::<f64>() / rows.len() as f64).exp()
        };
        let without = time(WITHOUT_KEY);
        let differences = compare(&rows, self.seed).into_iter();
        let findings = differences.zip(1..).map(|(difference, index)| {
            let with = time(index);
            let finding = of_times(difference, without, with);
            let difference = difference.map(|log| without * log.exp_m1());
            (tried[index], finding, difference, with)
        });
        Ok(self.compared(rows.len(), without, findings))
    }

    /// Returns the variants that the endpoint accepted.
    fn tried(&self) -> Vec<Variant> {
        let keyed = self
            .variants
            .keyed()
            .filter(|variant| !self.refused.contains_key(variant));
        [WITHOUT_KEY].into_iter().chain(keyed).collect()
    }

    fn compared(
        &self,
        conversations: usize,
        without: f64,
        findings: impl Iterator<Item = (Variant, Finding, Estimate, f64)>,
    ) -> Compared {
        let judged = |variant: Variant, finding, difference, value| Judged {
            variant,
            id: self.variants.id(variant),
            name: self
                .variants
                .carrier(variant)
                .map(ToString::to_string)
                .unwrap_or_default(),
            finding,
            difference,
            value,
        };
        let mut all: Vec<_> = findings
            .map(|(variant, finding, difference, value)| {
                judged(variant, finding, Some(difference), Some(value))
            })
            .collect();
        all.extend(
            self.refused
                .keys()
                .map(|variant| judged(*variant, Finding::Refused, None, None)),
        );
        all.sort_by_key(|judged| judged.variant);
        Compared {
            conversations,
            without,
            judged: all,
        }
    }
}

/// Judges a name by cached tokens; `reuse` is the share of the previous turn that came from cache, without
/// the key and with it.
fn of_tokens(difference: Estimate, reuse: [f64; 2], replicas: Option<f64>) -> Finding {
    let is_large = difference.value.abs() >= LEAST_SHARE;
    match reuse.map(|share| share >= HIGH) {
        _ if is_large && difference.is_above() => Finding::Honored,
        _ if is_large && difference.map(|share| -share).is_above() => Finding::Harmful,
        [true, true] => Finding::NotNeeded,
        [false, false] if is_large && difference.p <= DOUBT => Finding::Inconclusive,
        [false, false] if replicas.is_some_and(|replicas| replicas <= 1.0) => Finding::NotCached,
        [false, false] => Finding::Ignored,
        _ => Finding::Inconclusive,
    }
}

/// Judges a name by the time to the first token; the difference is that of the logarithms.
fn of_times(difference: Estimate, without: f64, with: f64) -> Finding {
    let is_large = (with - without).abs() >= LEAST_MS.max(LEAST_TIME * with.max(without));
    if is_large && difference.map(|log| -log).is_above() {
        Finding::Honored
    } else if is_large && difference.is_above() {
        Finding::Harmful
    } else {
        Finding::Inconclusive
    }
}

fn enough(rows: Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>, usize> {
    if rows.len() < FEWEST {
        Err(rows.len())
    } else {
        Ok(rows)
    }
}

//! What the records of a run show of each name.

use super::stats::{Estimate, compare};
use super::{Compared, Evidence, FEWEST, Finding, Judged, pairs};
use crate::variant::{Variant, WITHOUT_KEY};

/// The smallest difference of the cached share that is worth a header: two points.
const LEAST_SHARE: f64 = 0.02;

/// The smallest difference of the time to the first token that is, as a part of the longer one, and in
/// milliseconds: nobody feels less.
const LEAST_TIME: f64 = 0.1;
const LEAST_MS: f64 = 10.0;

/// The part of the turn before that has to come from cache for a share to count as high.
///
/// Two replicas in round robin reach about 0.8 in six turns, and one replica 1, less what is lost to
/// whole blocks.
const HIGH: f64 = 0.9;

/// A difference that is not beyond chance, and too rare by chance to say that there is none.
const DOUBT: f64 = 0.05;

impl Evidence<'_> {
    /// Judges every name by the time to the first token alone.
    pub(crate) fn times(&self) -> Vec<Judged> {
        self.by_time()
            .map(|compared| compared.judged)
            .unwrap_or_default()
    }

    /// The error is the number of conversations, if these are too few.
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
            // No share differs by more than all of it.
            let difference = difference.map(|share| share.clamp(-1.0, 1.0));
            (variant, finding, difference, share(variant))
        });
        Ok(self.compared(rows.len(), share(WITHOUT_KEY), findings))
    }

    /// The error is the number of conversations, if these are too few.
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

    /// Returns the variants that the endpoint took.
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
            arm: self.variants.id(variant),
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

/// Finds what the cached tokens show; `reuse` is how much of the turn before came from cache without the key and with it.
fn of_tokens(difference: Estimate, reuse: [f64; 2], replicas: Option<f64>) -> Finding {
    let is_large = difference.value.abs() >= LEAST_SHARE;
    match reuse.map(|share| share >= HIGH) {
        _ if is_large && difference.is_above() => Finding::Honoured,
        _ if is_large && difference.map(|share| -share).is_above() => Finding::Harmful,
        [true, true] => Finding::Unneeded,
        [false, false] if is_large && difference.p <= DOUBT => Finding::Unknown,
        [false, false] if replicas.is_some_and(|replicas| replicas <= 1.0) => Finding::Fruitless,
        [false, false] => Finding::Ignored,
        _ => Finding::Unknown,
    }
}

/// Finds what the milliseconds to the first token show; the difference is one of their logarithms.
fn of_times(difference: Estimate, without: f64, with: f64) -> Finding {
    let is_felt = (with - without).abs() >= LEAST_MS.max(LEAST_TIME * with.max(without));
    if is_felt && difference.map(|log| -log).is_above() {
        Finding::Honoured
    } else if is_felt && difference.is_above() {
        Finding::Harmful
    } else {
        Finding::Unknown
    }
}

fn enough(rows: Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>, usize> {
    if rows.len() < FEWEST {
        Err(rows.len())
    } else {
        Ok(rows)
    }
}

//! What became of the requests, counted.

use std::collections::BTreeMap;

use crate::exchange::Outcome;
use crate::plan::{Kind, Plan, Protocol};

/// As many faults of one sort are told of in words.
pub(crate) const TOLD: usize = 10;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: BTreeMap<(Kind, Protocol), Counts>,
    /// Outcomes that their kind does not allow.
    pub(crate) faults: u64,
    /// The first of them, in words.
    pub(crate) told: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) hung: u64,
    pub(crate) wrong: u64,
    /// Those of `refused` and `failed` that are right only since the replica was away.
    pub(crate) unserved: u64,
}

impl Tally {
    /// Counts an outcome; `served` says that the replica was there all the time.
    pub(crate) fn add(&mut self, plan: &Plan, outcome: &Outcome, served: bool) {
        let counts = self.counts.entry((plan.kind, plan.protocol)).or_default();
        *match outcome {
            Outcome::Answered => &mut counts.answered,
            Outcome::Refused(_) => &mut counts.refused,
            Outcome::Failed(_) => &mut counts.failed,
            Outcome::Cancelled => &mut counts.cancelled,
            Outcome::Hung => &mut counts.hung,
            Outcome::Wrong(_) => &mut counts.wrong,
        } += 1;
        if plan.kind.allows(outcome) {
            return;
        }
        if !served && outcome.is_for_want_of_the_replica() {
            counts.unserved += 1;
            return;
        }
        self.faults += 1;
        if self.told.len() < TOLD {
            let (kind, protocol) = (plan.kind, plan.protocol);
            self.told.push(format!("{kind}, {protocol}: {outcome:?}"));
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (row, counts) in other.counts {
            self.counts.entry(row).or_default().merge(counts);
        }
        self.faults += other.faults;
        self.told.extend(other.told);
        self.told.truncate(TOLD);
    }

    /// Returns the sum of all kinds and protocols.
    pub(crate) fn sum(&self) -> Counts {
        let mut sum = Counts::default();
        for counts in self.counts.values() {
            sum.merge(*counts);
        }
        sum
    }
}

impl Counts {
    fn merge(&mut self, other: Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.hung += other.hung;
        self.wrong += other.wrong;
        self.unserved += other.unserved;
    }

    pub(crate) fn requests(self) -> u64 {
        self.answered + self.refused + self.failed + self.cancelled + self.hung + self.wrong
    }
}

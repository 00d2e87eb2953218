//! Counts of how the requests ended.

use std::collections::BTreeMap;

use crate::outcome::{MOST_DESCRIBED, Outcome};
use crate::plan::{Kind, Plan, Protocol};

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) counts: BTreeMap<(Kind, Protocol), Counts>,
    /// Outcomes that the kind of the request does not allow.
    pub(crate) faults: u64,
    /// Descriptions of the first faults.
    pub(crate) described: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) hung: u64,
    pub(crate) wrong: u64,
    /// Those of `refused` and `failed` that are right only because the replica was down.
    pub(crate) replica_down: u64,
}

impl Tally {
    /// Counts an outcome; `was_up` says that the replica was up without a break.
    pub(crate) fn add(&mut self, plan: &Plan, outcome: &Outcome, was_up: bool) {
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
        if !was_up && outcome.is_right_while_replica_is_down() {
            counts.replica_down += 1;
            return;
        }
        self.faults += 1;
        if self.described.len() < MOST_DESCRIBED {
            let (kind, protocol) = (plan.kind, plan.protocol);
            self.described
                .push(format!("{kind}, {protocol}: {outcome:?}"));
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (row, counts) in other.counts {
            self.counts.entry(row).or_default().merge(counts);
        }
        self.faults += other.faults;
        self.described.extend(other.described);
        self.described.truncate(MOST_DESCRIBED);
    }

    /// Returns the sum over all kinds and protocols.
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
        self.replica_down += other.replica_down;
    }

    pub(crate) fn requests(self) -> u64 {
        self.answered + self.refused + self.failed + self.cancelled + self.hung + self.wrong
    }
}

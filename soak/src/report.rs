//! What a run found, as a table, and what of it must not be.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::memory::Samples;
use crate::run::{Descriptors, Findings};
use crate::tally::Counts;

/// How many KiB more the gateway may hold at the end than when it was warm, beside a twentieth.
///
/// From the second minute of a run on, medians of a minute differed by up to 3.1 MiB without a leak
/// (`docs/soak.md`), and those of two fifths by up to 2.2 MiB.
const GROWTH: u64 = 2 << 10;

/// The same for a run that is too short to be warm: in the first half minute memory grows by 12 MiB.
const SHORT_GROWTH: u64 = 32 << 10;

/// A run whose second fifth begins after that half minute, and after as many requests as it has on a machine
/// that keeps the pace.
const LONG: (Duration, u64) = (Duration::from_secs(150), 46_000);

impl Findings {
    /// Returns in words what must not be, and nothing if the gateway stood everything.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = self.counted();
        faults.extend(self.growth());
        faults.extend(self.descriptors.left());
        if !self.status.success() {
            faults.push(format!("the gateway ended with {}", self.status));
        }
        // Else a run in which nothing reached a replica would find nothing wrong.
        let sum = self.tally.sum();
        let requests = sum.requests();
        if sum.answered < requests / 4 {
            faults.push(format!("{} of {requests} requests answered", sum.answered));
        }
        if let Some(most) = self.most.filter(|most| requests < *most) {
            faults.push(format!("time for {requests} of {most} requests"));
        }
        faults.extend(self.tally.told.iter().cloned());
        faults.extend(self.ledger.wrong());
        faults
    }

    /// Returns what must not be there even once.
    fn counted(&self) -> Vec<String> {
        let ledger = &self.ledger;
        let wrong_keys = ledger.wrong_keys.load(Ordering::Relaxed);
        let made_whole = ledger.made_whole.load(Ordering::Relaxed);
        [
            (self.tally.faults, "wrong outcomes"),
            (wrong_keys, "wrong keys"),
            (made_whole, "broken bodies that arrived as whole ones"),
            (self.left, "requests that outlived their callers"),
            (self.panics, "panics"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
    }

    fn growth(&self) -> Option<String> {
        let (warm, last) = (self.memory.warm(), self.memory.last());
        let is_long = self.elapsed >= LONG.0 && self.tally.sum().requests() >= LONG.1;
        let most = warm + warm / 20 + if is_long { GROWTH } else { SHORT_GROWTH };
        (last > most).then(|| format!("memory grew from {warm} KiB to {last} KiB"))
    }

    fn measured(&self) -> [(&'static str, String); 12] {
        let ledger = &self.ledger;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed).to_string();
        let Descriptors {
            before,
            idle,
            after,
        } = self.descriptors;
        [
            ("replicas killed and restarted", self.restarts.to_string()),
            ("requests that reached a replica", count(&ledger.arrived)),
            ("of these, with a wrong key", count(&ledger.wrong_keys)),
            (
                "broken bodies that arrived as whole ones",
                count(&ledger.made_whole),
            ),
            (
                "requests that outlived their callers",
                self.left.to_string(),
            ),
            ("panics", self.panics.to_string()),
            ("resident memory in MiB, before the load", mib(self.before)),
            ("median of each tenth of the requests", tenths(&self.memory)),
            ("median of the second fifth", mib(self.memory.warm())),
            ("median of the last fifth", mib(self.memory.last())),
            ("peak", mib(self.peak)),
            (
                "file descriptors before the load, after it, and when the replicas had gone",
                format!("{before}, {idle}, {after}"),
            ),
        ]
    }
}

impl Descriptors {
    fn left(self) -> Option<String> {
        let Self { before, after, .. } = self;
        (after > before).then(|| format!("{after} descriptors after the load, {before} before"))
    }
}

/// The tables of `docs/soak.md`.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| request | protocol | sent | answered | refused | failed | cancelled | hung | wrong | for want of the replica |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|")?;
        for ((kind, protocol), counts) in &self.tally.counts {
            row(f, &format!("{kind} | {protocol}"), *counts)?;
        }
        row(f, "all |", self.tally.sum())?;

        writeln!(f, "\n| | |\n|---|---|")?;
        for (name, value) in self.measured() {
            writeln!(f, "| {name} | {value} |")?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, counts: Counts) -> fmt::Result {
    let Counts {
        answered,
        refused,
        failed,
        cancelled,
        hung,
        wrong,
        unserved,
    } = counts;
    writeln!(
        f,
        "| {name} | {} | {answered} | {refused} | {failed} | {cancelled} | {hung} | {wrong} | {unserved} |",
        counts.requests()
    )
}

fn tenths(samples: &Samples) -> String {
    samples.tenths().map(mib).join(", ")
}

fn mib(kib: u64) -> String {
    format!("{}.{}", kib >> 10, (kib & 1023) * 10 / 1024)
}

//! The tables of a run, and its faults.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::memory::Samples;
use crate::run::{Descriptors, Findings};
use crate::tally::Counts;

const ACCEPTED: &str = "broken bodies accepted as complete";
const ORPHANED: &str = "orphaned upstream requests";

/// How many KiB, in addition to 5 %, the gateway may grow by after it is warm.
///
/// Without a leak, medians of a minute differed by up to 3.1 MiB from the second minute of a run on,
/// and medians of two fifths by up to 2.2 MiB (`docs/soak.md`).
const GROWTH: u64 = 2 << 10;

/// The same for a run too short to warm up: in the first half minute memory grows by 12 MiB.
const SHORT_GROWTH: u64 = 32 << 10;

/// The shortest time and the fewest requests of a run that warms up before its second fifth.
///
/// A fifth of the time is that half minute. The requests are what 150 s at the default pace make.
const LONG: (Duration, u64) = (Duration::from_secs(150), 46_000);

impl Findings {
    /// Describes each fault; empty if there is none.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = self.counted();
        faults.extend(self.growth());
        faults.extend(self.descriptors.leaked());
        if !self.status.success() {
            faults.push(format!("the gateway exited with {}", self.status));
        }
        // Without this, a run in which no request reached a replica would pass.
        let sum = self.tally.sum();
        let requests = sum.requests();
        if sum.answered < requests / 4 {
            faults.push(format!(
                "only {} of {requests} requests were answered, expected at least a quarter",
                sum.answered
            ));
        }
        if let Some(most) = self.most.filter(|most| requests < *most) {
            faults.push(format!(
                "time ran out after {requests} of {most} requests; allow more with --minutes or --seconds"
            ));
        }
        faults.extend(self.tally.described.iter().cloned());
        faults.extend(self.ledger.described());
        faults
    }

    /// Describes the faults that must not happen even once.
    fn counted(&self) -> Vec<String> {
        let ledger = &self.ledger;
        let wrong_keys = ledger.wrong_keys.load(Ordering::Relaxed);
        let accepted = ledger.accepted_as_complete.load(Ordering::Relaxed);
        [
            (self.tally.faults, "wrong outcomes"),
            (wrong_keys, "wrong keys"),
            (accepted, ACCEPTED),
            (self.orphaned, ORPHANED),
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
        (last > most).then(|| {
            format!("memory grew from {warm} KiB to {last} KiB, expected at most {most} KiB")
        })
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
            ("wrong keys", count(&ledger.wrong_keys)),
            (ACCEPTED, count(&ledger.accepted_as_complete)),
            (ORPHANED, self.orphaned.to_string()),
            ("panics", self.panics.to_string()),
            ("resident memory before the load, MiB", mib(self.before)),
            (
                "median over each tenth of the requests, MiB",
                tenths(&self.memory),
            ),
            ("median over the second fifth, MiB", mib(self.memory.warm())),
            ("median over the last fifth, MiB", mib(self.memory.last())),
            ("peak, MiB", mib(self.peak)),
            (
                "open file descriptors before the load, after it, and after the replicas ended",
                format!("{before}, {idle}, {after}"),
            ),
        ]
    }
}

impl Descriptors {
    fn leaked(self) -> Option<String> {
        let Self { before, after, .. } = self;
        (after > before).then(|| format!(
                "{after} file descriptors open after the load, expected at most the {before} before it"
            ))
    }
}

/// Two Markdown tables, which `docs/soak.md` explains.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| request | protocol | sent | answered | refused | failed | cancelled | hung | wrong | replica down |"
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
        replica_down,
    } = counts;
    writeln!(
        f,
        "| {name} | {} | {answered} | {refused} | {failed} | {cancelled} | {hung} | {wrong} | {replica_down} |",
        counts.requests()
    )
}

fn tenths(samples: &Samples) -> String {
    samples.tenths().map(mib).join(", ")
}

fn mib(kib: u64) -> String {
    format!("{}.{}", kib >> 10, (kib & 1023) * 10 / 1024)
}

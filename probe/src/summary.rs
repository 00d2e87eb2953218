//! What the records of each arm add up to.

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;

use serde::Serialize;

use crate::conversation::Arm;
use crate::measure::Record;
use crate::stats::percentile;

/// What `cached_tokens_from` says of a number that was left out.
const OMITTED: &str = "omitted, counted as 0";

/// Prompt tokens, and how many of these came from a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tokens {
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
}

/// The time to the first piece of the answer, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ttft {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
}

/// One arm.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) arm: Arm,
    pub(crate) requests: usize,
    pub(crate) failures: usize,
    /// Of the requests that reported both numbers; nothing where none did.
    pub(crate) tokens: Tokens,
    pub(crate) tokens_from_turn_2: Tokens,
    pub(crate) tokens_by_turn: Vec<Tokens>,
    pub(crate) ttft_ms: Option<Ttft>,
    pub(crate) ttft_ms_from_turn_2: Option<Ttft>,
    /// The mean number of replicas that answered a conversation, if a header named them.
    pub(crate) replicas_per_conversation: Option<f64>,
}

/// Counts as zero what an endpoint leaves out that reports cached tokens elsewhere in the run.
///
/// vLLM, for one, leaves the field out where nothing was cached. An endpoint that never reports it
/// is another matter: there nothing is known. Returns how many were counted so.
pub(crate) fn count_omitted(records: &mut [Record]) -> usize {
    if records
        .iter()
        .all(|record| record.usage.cached_tokens.is_none())
    {
        return 0;
    }
    let omitted = records
        .iter_mut()
        .map(|record| &mut record.usage)
        .filter(|usage| usage.prompt_tokens.is_some() && usage.cached_tokens.is_none());
    omitted
        .map(|usage| {
            usage.cached_tokens = Some(0);
            usage.cached_tokens_from = Some(OMITTED);
        })
        .count()
}

impl Record {
    /// Returns both numbers, if both are known.
    pub(crate) fn tokens(&self) -> Option<Tokens> {
        let (prompt, cached) = self.usage.prompt_tokens.zip(self.usage.cached_tokens)?;
        Some(Tokens { prompt, cached })
    }
}

impl Summary {
    pub(crate) fn of(arm: Arm, all: &[Record]) -> Self {
        let records: Vec<_> = all.iter().filter(|record| record.arm == arm).collect();
        let later = || records.iter().copied().filter(|record| record.turn > 1);
        let last_turn = all.iter().map(|record| record.turn).max().unwrap_or(0);
        let of_turn = |turn| {
            records
                .iter()
                .copied()
                .filter(move |record| record.turn == turn)
        };
        Self {
            arm,
            requests: records.len(),
            failures: records
                .iter()
                .filter(|record| record.failure.is_some())
                .count(),
            tokens: total(records.iter().copied()),
            tokens_from_turn_2: total(later()),
            tokens_by_turn: (1..=last_turn).map(|turn| total(of_turn(turn))).collect(),
            ttft_ms: Ttft::of(records.iter().copied()),
            ttft_ms_from_turn_2: Ttft::of(later()),
            replicas_per_conversation: replicas_per_conversation(&records),
        }
    }
}

impl Tokens {
    /// Returns the cached share, from 0 to 1, unless there are no tokens.
    #[expect(
        clippy::cast_precision_loss,
        reason = "token counts are far below 2^52"
    )]
    pub(crate) fn share(self) -> Option<f64> {
        (self.prompt > 0).then(|| self.cached as f64 / self.prompt as f64)
    }
}

impl AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.prompt += other.prompt;
        self.cached += other.cached;
    }
}

impl FromIterator<Tokens> for Tokens {
    fn from_iter<I: IntoIterator<Item = Tokens>>(tokens: I) -> Self {
        tokens.into_iter().fold(Self::default(), |mut sum, tokens| {
            sum += tokens;
            sum
        })
    }
}

impl Ttft {
    fn of<'a>(records: impl Iterator<Item = &'a Record>) -> Option<Self> {
        let mut sorted: Vec<_> = records.filter_map(|record| record.ttft_ms).collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            p50: percentile(&sorted, 50)?,
            p90: percentile(&sorted, 90)?,
            p99: percentile(&sorted, 99)?,
        })
    }
}

fn total<'a>(records: impl Iterator<Item = &'a Record>) -> Tokens {
    records.filter_map(Record::tokens).collect()
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn replicas_per_conversation(records: &[&Record]) -> Option<f64> {
    let mut replicas: HashMap<u32, HashSet<&str>> = HashMap::new();
    for record in records {
        if let Some(replica) = &record.replica {
            replicas
                .entry(record.conversation)
                .or_default()
                .insert(replica);
        }
    }
    let visits: usize = replicas.values().map(HashSet::len).sum();
    (!replicas.is_empty()).then(|| visits as f64 / replicas.len() as f64)
}

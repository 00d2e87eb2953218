//! A summary of each variant's records.

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;

use serde::Serialize;

use crate::measure::Record;
use crate::variant::{Variant, Variants};
use crate::verdict::percentile;

/// Prompt tokens, and how many of them came from a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tokens {
    pub(crate) prompt: u64,
    pub(crate) cached: u64,
}

/// The time to the first content or reasoning token, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ttft {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
}

/// The summary of one variant.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// The name of the variant in JSON.
    #[serde(rename = "variant")]
    pub(crate) id: String,
    #[serde(skip)]
    pub(crate) variant: Variant,
    #[serde(skip)]
    pub(crate) name: String,
    /// The header or field that carries the key.
    pub(crate) carrier: Option<String>,
    pub(crate) requests: usize,
    pub(crate) failures: usize,
    /// Over the requests that reported both numbers.
    pub(crate) tokens: Tokens,
    pub(crate) tokens_from_turn_2: Tokens,
    pub(crate) tokens_by_turn: Vec<Tokens>,
    /// Over all requests that reported prompt tokens.
    pub(crate) prompt_tokens: u64,
    pub(crate) ttft_ms: Option<Ttft>,
    pub(crate) ttft_ms_from_turn_2: Option<Ttft>,
    /// The mean number of replicas that answered a conversation, if a header names them.
    pub(crate) replicas_per_conversation: Option<f64>,
    /// The prompt cost of a thousand conversations, if prices are given.
    pub(crate) cost_of_1000_conversations: Option<f64>,
}

impl Summary {
    pub(crate) fn of(variant: Variant, variants: &Variants, all: &[Record]) -> Self {
        let records: Vec<_> = all
            .iter()
            .filter(|record| record.variant == variant)
            .collect();
        let later = || records.iter().copied().filter(|record| record.turn > 1);
        let last_turn = all.iter().map(|record| record.turn).max().unwrap_or(0);
        let of_turn = |turn| {
            records
                .iter()
                .copied()
                .filter(move |record| record.turn == turn)
        };
        let prompts = records.iter().filter_map(|record| record.prompt_tokens);
        Self {
            id: variants.id(variant),
            variant,
            name: variants.name(variant),
            carrier: variants.carrier(variant).map(ToString::to_string),
            requests: records.len(),
            failures: records
                .iter()
                .filter(|record| record.failure.is_some())
                .count(),
            tokens: total(records.iter().copied()),
            tokens_from_turn_2: total(later()),
            tokens_by_turn: (1..=last_turn).map(|turn| total(of_turn(turn))).collect(),
            prompt_tokens: prompts.fold(0, u64::saturating_add),
            ttft_ms: Ttft::of(records.iter().copied()),
            ttft_ms_from_turn_2: Ttft::of(later()),
            replicas_per_conversation: replicas_per_conversation(&records),
            cost_of_1000_conversations: None,
        }
    }

    /// Returns the summary of every variant.
    pub(crate) fn all(variants: &Variants, records: &[Record]) -> Vec<Self> {
        (0..variants.len())
            .map(|variant| Self::of(variant, variants, records))
            .collect()
    }
}

impl Tokens {
    /// Returns the cached share, from 0 to 1, if there are any tokens.
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
        self.prompt = self.prompt.saturating_add(other.prompt);
        self.cached = self.cached.saturating_add(other.cached);
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
    records.filter_map(|record| record.tokens).collect()
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

//! The run: all variants, interleaved, turn by turn.

use std::collections::BTreeMap;

use fastrand::Rng;
use futures_util::{StreamExt, stream};

use crate::client::Client;
use crate::conversation::Conversation;
use crate::failure::Failure;
use crate::measure::{Record, measure};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::variant::{Variant, WITHOUT_KEY};

/// A run ends after five failures, if these are at least a tenth of the requests.
const FAILURES: usize = 5;
const ONE_IN: usize = 10;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Complete,
    Interrupted,
    Failed(Failure),
}

/// The outcome of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) records: Vec<Record>,
    /// The variants that the endpoint rejected, and how.
    pub(crate) refused: BTreeMap<Variant, Failure>,
    pub(crate) ended: Ended,
}

/// Runs to the end, a failure of the endpoint, or Ctrl-C; the records are kept in every case.
pub(crate) async fn run(plan: &Plan, client: &Client, run: u64) -> Ran {
    let progress = Progress::new(plan.size().requests);
    let mut driver = Driver {
        plan,
        client,
        progress: &progress,
        order: Rng::with_seed(plan.seed),
        records: Vec::new(),
        refused: BTreeMap::new(),
        failures: 0,
    };
    let ended = tokio::select! {
        result = driver.drive(run) => match result {
            Ok(()) => Ended::Complete,
            Err(failure) => Ended::Failed(failure),
        },
        // If the signal is not available, the run cannot be interrupted this way.
        Ok(()) = tokio::signal::ctrl_c() => Ended::Interrupted,
    };
    progress.finish();
    let Driver {
        records, refused, ..
    } = driver;
    Ran {
        records,
        refused,
        ended,
    }
}

struct Driver<'a> {
    plan: &'a Plan,
    client: &'a Client,
    progress: &'a Progress,
    order: Rng,
    records: Vec<Record>,
    refused: BTreeMap<Variant, Failure>,
    failures: usize,
}

impl Driver<'_> {
    async fn drive(&mut self, run: u64) -> Result<(), Failure> {
        for (level, &concurrency) in self.plan.levels.iter().enumerate() {
            // New prompts, so that the caches are as cold as at the first level.
            let run = run.wrapping_add(level as u64);
            let mut conversations = Conversation::all(self.plan, run);
            conversations.retain(|conversation| !self.refused.contains_key(&conversation.variant));
            for turn in 1..=self.plan.turns {
                for batch in self.batches(&mut conversations) {
                    conversations.extend(self.turn(batch, turn, concurrency).await?);
                }
            }
        }
        Ok(())
    }

    /// Divides the conversations into batches that run one after the other, each in random order.
    ///
    /// In a fixed order, round robin could send each conversation to the same replica every time.
    /// Sorting first makes the shuffle depend on the seed alone, not on the order of the answers.
    fn batches(&mut self, conversations: &mut Vec<Conversation>) -> Vec<Vec<Conversation>> {
        conversations.sort_by_key(Conversation::id);
        self.order.shuffle(conversations);
        let conversations = std::mem::take(conversations);
        if self.plan.levels.len() == 1 {
            return vec![conversations];
        }
        // In a sweep each variant runs alone, so that it is measured under its own load.
        let mut variants: BTreeMap<Variant, Vec<_>> = BTreeMap::new();
        for conversation in conversations {
            variants
                .entry(conversation.variant)
                .or_default()
                .push(conversation);
        }
        let mut batches: Vec<_> = variants.into_values().collect();
        self.order.shuffle(&mut batches);
        batches
    }

    /// Sends the next turn of these conversations, and returns those that continue.
    async fn turn(
        &mut self,
        mut batch: Vec<Conversation>,
        turn: u32,
        concurrency: u32,
    ) -> Result<Vec<Conversation>, Failure> {
        // Recorded conversations differ in their number of turns.
        batch.retain_mut(Conversation::ask);
        let (client, progress) = (self.client, self.progress);
        let requests = stream::iter(batch).map(async |mut conversation| {
            let measured =
                measure(client, &mut conversation, turn, |text| progress.note(text)).await;
            (conversation, measured)
        });
        let mut answers = requests.buffer_unordered(concurrency as usize);
        let mut answered = Vec::new();
        while let Some((conversation, (record, failure))) = answers.next().await {
            self.records.push(Record {
                concurrency,
                ..record
            });
            self.progress.step();
            match failure {
                None => answered.push(conversation),
                Some(failure) => self.fail(&conversation, turn, failure)?,
            }
        }
        answered.retain(|conversation| !self.refused.contains_key(&conversation.variant));
        Ok(answered)
    }

    /// Counts a failure. The conversation ends, since without its answer it would continue differently.
    ///
    /// # Errors
    ///
    /// Returns the failure if the run has to end.
    fn fail(
        &mut self,
        conversation: &Conversation,
        turn: u32,
        failure: Failure,
    ) -> Result<(), Failure> {
        self.progress.skip(u64::from(self.plan.turns - turn));
        let variant = conversation.variant;
        if self.refused.contains_key(&variant) {
            return Ok(());
        }
        let is_left = |other| other != variant && !self.refused.contains_key(&other);
        let others_are_left = self.plan.variants.keyed().any(is_left);
        if variant != WITHOUT_KEY && failure.is_refusal() && others_are_left {
            let name = self.plan.variants.name(variant);
            self.progress.note(&format!("{name} is refused: {failure}"));
            self.refused.insert(variant, failure);
            return Ok(());
        }
        self.failures += 1;
        if failure.is_final() || self.failures >= FAILURES.max(self.records.len() / ONE_IN) {
            return Err(failure);
        }
        self.progress.note(&failure.to_string());
        Ok(())
    }
}

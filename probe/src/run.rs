//! The experiment: all variants, interleaved, turn by turn.

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

/// So many requests have to fail, and one of this many, before the run ends.
const FAILURES: usize = 5;
const ONE_OF: usize = 10;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Complete,
    Interrupted,
    Failed(Failure),
}

/// What a run gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) records: Vec<Record>,
    /// The variants that the endpoint refused while it takes requests without a key, and how.
    pub(crate) refused: BTreeMap<Variant, Failure>,
    pub(crate) ended: Ended,
}

/// Runs until the end, the endpoint's failure, or Ctrl-C; the records are kept in every case.
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
        // A system without this signal cannot interrupt in this way.
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
            // New prompts: the caches are as cold as at the first level.
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

    /// Divides the conversations into those that are under way at once.
    ///
    /// A fixed order over as many replicas in round robin is sticky by accident. Before the shuffle
    /// the order is that of the answers, which no seed repeats.
    fn batches(&mut self, conversations: &mut Vec<Conversation>) -> Vec<Vec<Conversation>> {
        conversations.sort_by_key(Conversation::id);
        self.order.shuffle(conversations);
        let conversations = std::mem::take(conversations);
        if self.plan.levels.len() == 1 {
            return vec![conversations];
        }
        // In a sweep a variant has the load to itself, or that of the others would be measured, too.
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

    /// Sends the next turn of these conversations, and returns those that go on.
    async fn turn(
        &mut self,
        mut batch: Vec<Conversation>,
        turn: u32,
        concurrency: u32,
    ) -> Result<Vec<Conversation>, Failure> {
        // A recorded conversation may have fewer turns than others.
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

    /// Takes note of a failure, which is returned if the run has to end.
    ///
    /// Without its answer a conversation would go on as a different one: it ends here.
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
        if failure.is_final() || self.failures >= FAILURES.max(self.records.len() / ONE_OF) {
            return Err(failure);
        }
        self.progress.note(&failure.to_string());
        Ok(())
    }
}

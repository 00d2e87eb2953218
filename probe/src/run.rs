//! The experiment: both arms, interleaved, turn by turn.

use fastrand::Rng;
use futures_util::{StreamExt, stream};

use crate::args::Args;
use crate::client::Client;
use crate::conversation::Conversation;
use crate::failure::Failure;
use crate::measure::{Record, measure};
use crate::progress::Progress;

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

/// Runs until the end, the endpoint's failure, or Ctrl-C; the records are kept in every case.
pub(crate) async fn run(args: &Args, client: &Client, run: u64) -> (Vec<Record>, Ended) {
    let conversations = Conversation::all(args, run);
    let progress = Progress::new(conversations.len() as u64 * u64::from(args.turns));
    let mut records = Vec::new();
    let ended = tokio::select! {
        result = drive(args, client, conversations, &progress, &mut records) => match result {
            Ok(()) => Ended::Complete,
            Err(failure) => Ended::Failed(failure),
        },
        // A system without this signal cannot interrupt in this way.
        Ok(()) = tokio::signal::ctrl_c() => Ended::Interrupted,
    };
    progress.finish();
    (records, ended)
}

async fn drive(
    args: &Args,
    client: &Client,
    mut conversations: Vec<Conversation>,
    progress: &Progress,
    records: &mut Vec<Record>,
) -> Result<(), Failure> {
    let mut order = Rng::with_seed(args.seed);
    let mut failures = 0;
    for turn in 1..=args.turns {
        // A fixed order over as many replicas in round robin is sticky by accident. Before the shuffle
        // the order is that of the answers, which no seed repeats.
        conversations.sort_by_key(Conversation::id);
        order.shuffle(&mut conversations);
        let requests = stream::iter(conversations.drain(..)).map(async |mut conversation| {
            let measured =
                measure(client, &mut conversation, turn, |text| progress.note(text)).await;
            (conversation, measured)
        });
        let mut answers = requests.buffer_unordered(args.concurrency as usize);
        let mut answered = Vec::new();
        while let Some((conversation, (record, failure))) = answers.next().await {
            records.push(record);
            progress.step();
            let Some(failure) = failure else {
                answered.push(conversation);
                continue;
            };
            failures += 1;
            if failure.is_final() || failures >= FAILURES.max(records.len() / ONE_OF) {
                return Err(failure);
            }
            // Without this answer the conversation would go on as another one: it ends here.
            progress.skip(u64::from(args.turns - turn));
            progress.note(&failure.to_string());
        }
        drop(answers);
        conversations = answered;
    }
    Ok(())
}

//! The plan of a run, made before anything is sent.

use http::Uri;
use tower_session_affinity::header::X_SESSION_AFFINITY;

use crate::args::Args;
use crate::conversation::TURN_WORDS;
use crate::corpus::{self, Turns};
use crate::dialect::{Ask, Dialect};
use crate::known;
use crate::variant::{Carrier, Variants};
use crate::verdict::FEWEST;

/// The tokens that a chat template adds to a message, roughly.
const MESSAGE_OVERHEAD: u32 = 5;

/// The bytes per token of prose, roughly.
const BYTES_PER_TOKEN: u64 = 4;

/// The most names that are tried in one run.
const MOST_NAMES: usize = 32;

/// The plan of a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) variants: Variants,
    /// Conversations per variant and concurrency.
    pub(crate) conversations: u32,
    pub(crate) turns: u32,
    /// The numbers of concurrent requests, measured one after the other.
    pub(crate) levels: Vec<u32>,
    pub(crate) prefix_tokens: u32,
    pub(crate) max_tokens: u32,
    pub(crate) seed: u64,
    /// Recorded conversations; if empty, random words are sent.
    pub(crate) recorded: Vec<Turns>,
}

/// The size of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) requests: u64,
    pub(crate) prompt_tokens: u64,
    pub(crate) answer_tokens: u64,
}

impl Plan {
    /// Makes the plan of a command line.
    ///
    /// # Errors
    ///
    /// If the arguments cannot lead to a verdict; the message says why.
    pub(crate) fn new(
        args: &Args,
        endpoint: Option<&Uri>,
        dialect: &dyn Dialect,
    ) -> Result<Self, String> {
        let mut levels = args.concurrency.clone();
        levels.sort_unstable();
        levels.dedup();
        let busiest = levels.last().copied().unwrap_or(1);
        // In a sweep each variant runs alone, and needs a conversation for each concurrent request.
        let conversations = if levels.len() > 1 {
            args.conversations.max(busiest)
        } else {
            args.conversations
        };
        if (conversations as usize) < FEWEST {
            return Err(format!(
                "a verdict needs at least {FEWEST} conversations, but --conversations is {conversations}"
            ));
        }
        let mut plan = Self {
            variants: variants(args, endpoint)?,
            conversations,
            turns: args.turns,
            levels,
            prefix_tokens: args.prefix_tokens,
            max_tokens: args.max_tokens,
            seed: args.seed,
            recorded: Vec::new(),
        };
        let taken = plan
            .variants
            .carriers()
            .iter()
            .find(|carrier| is_taken(carrier, dialect));
        if let Some(name) = taken {
            return Err(format!(
                "--body-field {name}: the probe uses this field itself; choose a different name"
            ));
        }
        if let Some(path) = &args.conversations_file {
            plan.record(corpus::read(path, conversations as usize)?)?;
        }
        Ok(plan)
    }

    fn record(&mut self, recorded: Vec<Turns>) -> Result<(), String> {
        if recorded.len() < FEWEST {
            return Err(format!(
                "--conversations-file has {} conversations with two or more turns, but a verdict needs at least {FEWEST}",
                recorded.len()
            ));
        }
        self.conversations = u32::try_from(recorded.len()).unwrap_or(u32::MAX);
        let longest = recorded.iter().map(Vec::len).max().unwrap_or_default();
        self.turns = self.turns.min(u32::try_from(longest).unwrap_or(u32::MAX));
        self.recorded = recorded;
        Ok(())
    }

    pub(crate) fn size(&self) -> Size {
        let repeated = self.variants.len() as u64 * self.levels.len() as u64;
        if !self.recorded.is_empty() {
            return self.recorded_size(repeated);
        }
        let conversations = repeated * u64::from(self.conversations);
        let opening = u64::from(self.prefix_tokens + MESSAGE_OVERHEAD);
        let question = u64::from(TURN_WORDS + MESSAGE_OVERHEAD);
        let answer = u64::from(self.max_tokens + MESSAGE_OVERHEAD);
        let turns = u64::from(self.turns);
        let prompt = |turn| opening + turn * question + (turn - 1) * answer;
        Size {
            requests: conversations * turns,
            prompt_tokens: conversations * (1..=turns).map(prompt).sum::<u64>(),
            answer_tokens: conversations * turns * u64::from(self.max_tokens),
        }
    }

    fn recorded_size(&self, repeated: u64) -> Size {
        let (mut requests, mut bytes) = (0, 0);
        for turns in &self.recorded {
            let mut prompt = 0;
            for turn in turns.iter().take(self.turns as usize) {
                prompt += turn
                    .iter()
                    .map(|message| message.content.to_string().len() as u64)
                    .sum::<u64>();
                bytes += prompt;
                requests += 1;
            }
        }
        Size {
            requests: repeated * requests,
            prompt_tokens: repeated * bytes / BYTES_PER_TOKEN,
            answer_tokens: repeated * requests * u64::from(self.max_tokens),
        }
    }
}

fn variants(args: &Args, endpoint: Option<&Uri>) -> Result<Variants, String> {
    let headers = args.header_name.iter().cloned().map(Carrier::Header);
    let fields = args.body_field.iter().cloned().map(Carrier::BodyField);
    let mut carriers: Vec<_> = headers.chain(fields).collect();
    if let (true, Some(endpoint)) = (args.known, endpoint) {
        carriers.extend(known::carriers(endpoint));
    }
    if carriers.is_empty() {
        carriers.push(Carrier::Header(X_SESSION_AFFINITY));
    }
    let variants = Variants::new(carriers);
    let names = variants.carriers().len();
    if names > MOST_NAMES {
        return Err(format!(
            "{names} names are too many for one run; try at most {MOST_NAMES}"
        ));
    }
    Ok(variants)
}

fn is_taken(carrier: &Carrier, dialect: &dyn Dialect) -> bool {
    let Carrier::BodyField(name) = carrier else {
        return false;
    };
    let ask = Ask {
        model: "",
        messages: &[],
        max_tokens: 1,
    };
    dialect.conversation_fields().contains(&name.as_str()) || dialect.body(&ask).contains_key(name)
}

#[cfg(test)]
pub(crate) mod tests {
    use clap::Parser;

    use super::*;
    use crate::dialect::Api;

    /// Returns the plan of a command line.
    pub(crate) fn plan(arguments: &[&str]) -> Plan {
        let args = Args::parse_from([&["affinity-probe"], arguments].concat());
        Plan::new(&args, None, Api::Chat.dialect()).expect("a plan")
    }

    #[test]
    fn the_size_is_the_sum_over_all_turns() {
        let plan = plan(&[
            "--conversations=6",
            "--turns=2",
            "--prefix-tokens=100",
            "--max-tokens=10",
        ]);
        // A conversation: 105 + 45, and then 105 + 2 × 45 + 15.
        let expected = Size {
            requests: 24,
            prompt_tokens: 2 * 6 * (150 + 210),
            answer_tokens: 240,
        };
        assert_eq!(plan.size(), expected);
    }

    #[test]
    fn the_size_covers_every_name_and_every_concurrency() {
        let requests = |arguments: &[&str]| plan(arguments).size().requests;
        assert_eq!(requests(&[]), 2 * 8 * 6);
        assert_eq!(
            requests(&["--header-name=a,b", "--body-field=c"]),
            4 * 8 * 6
        );
        assert_eq!(requests(&["--concurrency=1,4"]), 2 * 2 * 8 * 6);
        assert_eq!(
            requests(&["--concurrency=1,4,16"]),
            3 * 2 * 16 * 6,
            "a conversation for each of the 16 concurrent requests"
        );
    }

    #[test]
    fn a_field_that_the_probe_uses_itself_cannot_carry_the_key() {
        let args = Args::parse_from(["affinity-probe", "--body-field=messages"]);
        let error = Plan::new(&args, None, Api::Chat.dialect()).expect_err("taken");
        assert_eq!(
            error,
            "--body-field messages: the probe uses this field itself; choose a different name"
        );
    }
}

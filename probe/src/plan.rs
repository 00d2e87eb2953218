//! What a run will do, decided before anything is sent.

use http::Uri;
use tower_session_affinity::header::X_SESSION_AFFINITY;

use crate::args::Args;
use crate::conversation::TURN_WORDS;
use crate::corpus::{self, Turns};
use crate::dialect::{Ask, Dialect};
use crate::known;
use crate::variant::{Carrier, Variants};
use crate::verdict::FEWEST;

/// What a chat template adds to a message, in tokens, roughly.
const MESSAGE_OVERHEAD: u32 = 5;

/// The bytes of a token of prose, roughly.
const BYTES_PER_TOKEN: u64 = 4;

/// What is measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) variants: Variants,
    /// Conversations in each variant, at each number of requests at once.
    pub(crate) conversations: u32,
    pub(crate) turns: u32,
    /// Requests under way at once, one number after the other.
    pub(crate) levels: Vec<u32>,
    pub(crate) prefix_tokens: u32,
    pub(crate) max_tokens: u32,
    pub(crate) seed: u64,
    /// Recorded conversations, or none for random words.
    pub(crate) recorded: Vec<Turns>,
}

/// How much a run will send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) requests: u64,
    pub(crate) prompt_tokens: u64,
    pub(crate) answer_tokens: u64,
}

impl Plan {
    /// Says what is wrong with the arguments, if they make no run that ends with a verdict.
    pub(crate) fn new(
        args: &Args,
        endpoint: Option<&Uri>,
        dialect: &dyn Dialect,
    ) -> Result<Self, String> {
        let mut levels = args.concurrency.clone();
        levels.sort_unstable();
        levels.dedup();
        let busiest = levels.last().copied().unwrap_or(1);
        // In a sweep, every variant has so many requests under way.
        let conversations = if levels.len() > 1 {
            args.conversations.max(busiest)
        } else {
            args.conversations
        };
        if (conversations as usize) < FEWEST {
            return Err(format!(
                "a verdict takes at least {FEWEST} conversations, and --conversations is {conversations}"
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
                "--body-field {name}: the requests need this field for something else"
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
                "--conversations-file has {} conversations of two turns or more, and a verdict takes at least {FEWEST}",
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
    if variants.len() > 33 {
        return Err("more than 32 names are too many to try at once".to_owned());
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
    fn the_size_is_what_the_turns_add_up_to() {
        let plan = plan(&[
            "--conversations=6",
            "--turns=2",
            "--prefix-tokens=100",
            "--max-tokens=10",
        ]);
        // Each variant: 105 + 45, and then 105 + 2 × 45 + 15.
        let expected = Size {
            requests: 24,
            prompt_tokens: 2 * 6 * (150 + 210),
            answer_tokens: 240,
        };
        assert_eq!(plan.size(), expected);
    }

    #[test]
    fn every_name_and_every_level_is_paid_for() {
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
            "as many as are under way at once"
        );
    }

    #[test]
    fn a_field_that_the_requests_need_cannot_carry_the_key() {
        let args = Args::parse_from(["affinity-probe", "--body-field=messages"]);
        let error = Plan::new(&args, None, Api::Chat.dialect()).expect_err("taken");
        assert_eq!(
            error,
            "--body-field messages: the requests need this field for something else"
        );
    }
}

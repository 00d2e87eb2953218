//! The conversations, made of seeded random words.

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tower_session_affinity::AffinityKey;

use crate::args::Args;

/// Words that most tokenizers take as one token each.
const WORDS: [&str; 64] = [
    "river", "stone", "light", "house", "green", "water", "table", "north", "paper", "music",
    "bread", "cloud", "glass", "horse", "night", "plant", "round", "sound", "train", "world",
    "beach", "chair", "dance", "earth", "field", "grass", "heart", "image", "judge", "knife",
    "lemon", "metal", "ocean", "piano", "queen", "radio", "salt", "tiger", "uncle", "voice",
    "wheel", "young", "apple", "brown", "clear", "dream", "eight", "fresh", "great", "happy",
    "inner", "large", "money", "never", "often", "price", "quick", "right", "small", "three",
    "under", "visit", "white", "year",
];

/// The words of a user's turn.
const TURN_WORDS: u32 = 40;

/// The words at the very start of a conversation that no other one shares: 48 bits.
const OPENING_WORDS: u32 = 8;

/// What a chat template adds to a message, in tokens, roughly.
const MESSAGE_OVERHEAD: u32 = 5;

/// Which half of the experiment a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Arm {
    WithoutKey,
    WithKey,
}

/// One message, as the chat completions interface has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) role: String,
    pub(crate) content: String,
}

/// A conversation in one arm: what was said so far, and what will be asked.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) arm: Arm,
    pub(crate) number: u32,
    pub(crate) messages: Vec<Message>,
    key: AffinityKey,
    words: Rng,
}

/// How much a run will send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) requests: u64,
    pub(crate) prompt_tokens: u64,
    pub(crate) answer_tokens: u64,
}

impl Arm {
    pub(crate) const BOTH: [Self; 2] = [Self::WithoutKey, Self::WithKey];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::WithoutKey => "without key",
            Self::WithKey => "with key",
        }
    }
}

impl Message {
    pub(crate) fn new(role: &str, content: impl Into<String>) -> Self {
        Self {
            role: role.to_owned(),
            content: content.into(),
        }
    }
}

impl Conversation {
    /// Makes both arms of every conversation.
    ///
    /// The seed decides on the words. `run` decides on the keys and on the words at the start of each
    /// prompt: another one in each run, so that what an earlier run left in a cache is of no use.
    pub(crate) fn all(args: &Args, run: u64) -> Vec<Self> {
        let mut words = Rng::with_seed(args.seed);
        let mut opening = Rng::with_seed(args.seed ^ run);
        let both = (1..=args.conversations).flat_map(|number| Arm::BOTH.map(|arm| (number, arm)));
        both.map(|(number, arm)| {
            let mut text = random_words(&mut opening, OPENING_WORDS);
            text.push(' ');
            text += &random_words(&mut words, args.prefix_tokens - OPENING_WORDS);
            Self {
                arm,
                number,
                messages: vec![Message::new("system", text)],
                key: random_key(&mut opening),
                words: words.fork(),
            }
        })
        .collect()
    }

    /// Returns what tells it from every other one.
    pub(crate) fn id(&self) -> (u32, Arm) {
        (self.number, self.arm)
    }

    /// Returns the key, in the arm that has one.
    pub(crate) fn key(&self) -> Option<&AffinityKey> {
        (self.arm == Arm::WithKey).then_some(&self.key)
    }

    /// Adds what the user says next.
    pub(crate) fn ask(&mut self) {
        let question = random_words(&mut self.words, TURN_WORDS);
        self.messages.push(Message::new("user", question));
    }

    /// Adds what the model said.
    pub(crate) fn hear(&mut self, answer: &str) {
        // Some endpoints refuse an empty message, which is what a model that only thought has said.
        let answer = if answer.trim().is_empty() {
            "Yes."
        } else {
            answer
        };
        self.messages.push(Message::new("assistant", answer));
    }
}

impl Size {
    pub(crate) fn of(args: &Args) -> Self {
        let conversations = 2 * u64::from(args.conversations);
        let opening = u64::from(args.prefix_tokens + MESSAGE_OVERHEAD);
        let question = u64::from(TURN_WORDS + MESSAGE_OVERHEAD);
        let answer = u64::from(args.max_tokens + MESSAGE_OVERHEAD);
        let turns = u64::from(args.turns);
        let prompt = |turn| opening + turn * question + (turn - 1) * answer;
        Self {
            requests: conversations * turns,
            prompt_tokens: conversations * (1..=turns).map(prompt).sum::<u64>(),
            answer_tokens: conversations * turns * u64::from(args.max_tokens),
        }
    }
}

/// Returns words that follow from a number, as the simulated model says them.
pub(crate) fn word(index: usize) -> &'static str {
    WORDS[index % WORDS.len()]
}

fn random_words(rng: &mut Rng, count: u32) -> String {
    let words: Vec<_> = (0..count)
        .map(|_| WORDS[rng.usize(..WORDS.len())])
        .collect();
    words.join(" ")
}

/// Returns a random UUID, which fits the documented limit of every endpoint.
fn random_key(rng: &mut Rng) -> AffinityKey {
    let version_4 = rng.u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{version_4:032x}");
    let groups = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    let key = groups.join("-");
    AffinityKey::try_from(key).expect("a UUID is a valid key")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clap::Parser;

    use super::*;

    fn args() -> Args {
        Args::parse_from(["affinity-probe", "--conversations", "20"])
    }

    fn opening(conversation: &Conversation) -> String {
        let words = conversation.messages[0].content.split(' ');
        words
            .take(OPENING_WORDS as usize)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn no_two_conversations_or_arms_share_the_start_of_their_prompt() {
        let openings: HashSet<_> = Conversation::all(&args(), 7)
            .into_iter()
            .map(|conversation| {
                assert_eq!(conversation.messages[0].content.split(' ').count(), 1200);
                opening(&conversation)
            })
            .collect();
        assert_eq!(openings.len(), 40);
    }

    #[test]
    fn another_run_of_the_same_seed_begins_its_prompts_with_other_words() {
        let first = |run| Conversation::all(&args(), run).swap_remove(0);
        let (one, two, again) = (first(1), first(2), first(1));
        assert_ne!(opening(&one), opening(&two));
        assert_eq!(one.messages[0].content, again.messages[0].content);
        assert_eq!(one.key, again.key);
        assert_ne!(one.key, two.key);
    }

    #[test]
    fn only_one_arm_has_keys_and_they_are_uuids() {
        for conversation in Conversation::all(&args(), 7) {
            assert_eq!(
                conversation.key().is_some(),
                conversation.arm == Arm::WithKey
            );
            let key = conversation.key.as_str();
            assert_eq!((key.len(), &key[14..15]), (36, "4"));
            assert!(matches!(&key[19..20], "8" | "9" | "a" | "b"));
        }
    }

    #[test]
    fn the_size_is_what_the_turns_add_up_to() {
        let args = Args::parse_from([
            "affinity-probe",
            "--conversations=1",
            "--turns=2",
            "--prefix-tokens=100",
            "--max-tokens=10",
        ]);
        // Each arm: 105 + 45, and then 105 + 2 × 45 + 15.
        let expected = Size {
            requests: 4,
            prompt_tokens: 2 * (150 + 210),
            answer_tokens: 40,
        };
        assert_eq!(Size::of(&args), expected);
    }
}

//! The conversations, made of seeded random words or read from a file.

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tower_session_affinity::AffinityKey;

use crate::plan::Plan;
use crate::variant::{Variant, WITHOUT_KEY};

/// Words that are one token each in most tokenizers.
const WORDS: [&str; 64] = [
    "river", "stone", "light", "house", "green", "water", "table", "north", "paper", "music",
    "bread", "cloud", "glass", "horse", "night", "plant", "round", "sound", "train", "world",
    "beach", "chair", "dance", "earth", "field", "grass", "heart", "image", "judge", "knife",
    "lemon", "metal", "ocean", "piano", "queen", "radio", "salt", "tiger", "uncle", "voice",
    "wheel", "young", "apple", "brown", "clear", "dream", "eight", "fresh", "great", "happy",
    "inner", "large", "money", "never", "often", "price", "quick", "right", "small", "three",
    "under", "visit", "white", "year",
];

/// The number of words in a user's turn.
pub(crate) const TURN_WORDS: u32 = 40;

/// The number of words that make the start of a conversation unique: 48 bits.
const OPENING_WORDS: u32 = 8;

/// One message, in the format of the Chat Completions API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) role: String,
    /// A string or a list of parts.
    #[serde(default)]
    pub(crate) content: Value,
    /// The other fields of a recorded message, such as tool calls.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A conversation in one variant: the messages so far, and those to come.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) variant: Variant,
    pub(crate) number: u32,
    pub(crate) messages: Vec<Message>,
    key: AffinityKey,
    script: Script,
}

/// What comes next in a conversation.
#[derive(Debug)]
enum Script {
    /// Random words as questions, and the model's answers.
    Words(Rng),
    /// The remaining recorded turns, the next one last. A turn begins with the previous recorded answer,
    /// which takes the place of the model's.
    Recorded(Vec<Vec<Message>>),
}

impl Message {
    pub(crate) fn new(role: &str, content: impl Into<String>) -> Self {
        Self {
            role: role.to_owned(),
            content: Value::String(content.into()),
            rest: Map::new(),
        }
    }
}

impl Conversation {
    /// Creates every conversation in every variant.
    ///
    /// The seed determines the words. `run` determines the keys and the first words of each prompt, so
    /// that no run finds the prompts of an earlier one in a cache.
    pub(crate) fn all(plan: &Plan, run: u64) -> Vec<Self> {
        let mut words = Rng::with_seed(plan.seed);
        let mut opening = Rng::with_seed(plan.seed ^ run);
        let numbers = 1..=plan.conversations;
        let all = numbers
            .flat_map(|number| (0..plan.variants.len()).map(move |variant| (number, variant)));
        all.map(|(number, variant)| {
            let start = random_words(&mut opening, OPENING_WORDS);
            let recorded = plan.recorded.get(number as usize - 1);
            let (messages, script) = recorded.map_or_else(
                || {
                    let text = random_words(&mut words, plan.prefix_tokens - OPENING_WORDS);
                    let system = Message::new("system", format!("{start} {text}"));
                    (vec![system], Script::Words(words.fork()))
                },
                |turns| begun(turns, &start),
            );
            let key = random_key(&mut opening);
            Self {
                variant,
                number,
                messages,
                key,
                script,
            }
        })
        .collect()
    }

    /// Returns a unique identifier.
    pub(crate) fn id(&self) -> (u32, Variant) {
        (self.number, self.variant)
    }

    /// Returns the key, unless this is the variant without one.
    pub(crate) fn key(&self) -> Option<&AffinityKey> {
        (self.variant != WITHOUT_KEY).then_some(&self.key)
    }

    /// Adds the next question; returns `false` if there is none.
    pub(crate) fn ask(&mut self) -> bool {
        match &mut self.script {
            Script::Words(words) => {
                let question = random_words(words, TURN_WORDS);
                self.messages.push(Message::new("user", question));
                true
            }
            Script::Recorded(turns) => {
                let turn = turns.pop();
                self.messages.extend(turn.iter().flatten().cloned());
                turn.is_some()
            }
        }
    }

    /// Adds the model's answer, unless the conversation is recorded with its answers.
    pub(crate) fn hear(&mut self, answer: &str) {
        if let Script::Recorded(_) = self.script {
            return;
        }
        // Some endpoints reject an empty message, but a model that only reasoned gave no answer.
        let answer = if answer.trim().is_empty() {
            "Yes."
        } else {
            answer
        };
        self.messages.push(Message::new("assistant", answer));
    }
}

/// Begins a recorded conversation with unique words, in its system prompt or as a new one.
fn begun(turns: &[Vec<Message>], start: &str) -> (Vec<Message>, Script) {
    let mut turns = turns.to_vec();
    let first = turns.first_mut().and_then(|turn| turn.first_mut());
    let mut messages = Vec::new();
    match first {
        Some(Message {
            role,
            content: Value::String(text),
            ..
        }) if role == "system" || role == "developer" => {
            *text = format!("{start}\n{text}");
        }
        _ => messages.push(Message::new("system", start)),
    }
    turns.reverse();
    (messages, Script::Recorded(turns))
}

/// Returns the word with this index, as the simulated model says it.
pub(crate) fn word(index: usize) -> &'static str {
    WORDS[index % WORDS.len()]
}

fn random_words(rng: &mut Rng, count: u32) -> String {
    let words: Vec<_> = (0..count)
        .map(|_| WORDS[rng.usize(..WORDS.len())])
        .collect();
    words.join(" ")
}

/// Returns a random UUID, which is within the documented limits of every endpoint.
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

    use super::*;
    use crate::plan::tests::plan;

    fn text(message: &Message) -> &str {
        message.content.as_str().expect("text")
    }

    fn opening(conversation: &Conversation) -> String {
        let words = text(&conversation.messages[0]).split(' ');
        words
            .take(OPENING_WORDS as usize)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn no_two_conversations_or_variants_share_the_start_of_their_prompt() {
        let openings: HashSet<_> = Conversation::all(&plan(&["--conversations=20"]), 7)
            .into_iter()
            .map(|conversation| {
                assert_eq!(text(&conversation.messages[0]).split(' ').count(), 1200);
                opening(&conversation)
            })
            .collect();
        assert_eq!(openings.len(), 40);
    }

    #[test]
    fn runs_with_the_same_seed_start_their_prompts_with_different_words() {
        let first = |run| Conversation::all(&plan(&[]), run).swap_remove(0);
        let (one, two, again) = (first(1), first(2), first(1));
        assert_ne!(opening(&one), opening(&two));
        assert_eq!(one.messages, again.messages);
        assert_eq!(one.key, again.key);
        assert_ne!(one.key, two.key);
    }

    #[test]
    fn every_variant_except_the_first_has_uuids_as_keys() {
        for conversation in Conversation::all(&plan(&["--header-name=a,b"]), 7) {
            assert_eq!(
                conversation.key().is_some(),
                conversation.variant != WITHOUT_KEY
            );
            let key = conversation.key.as_str();
            assert_eq!((key.len(), &key[14..15]), (36, "4"));
            assert!(matches!(&key[19..20], "8" | "9" | "a" | "b"));
        }
    }

    #[test]
    fn a_recorded_conversation_starts_with_unique_words_and_keeps_its_answers() {
        let turns = vec![
            vec![
                Message::new("system", "Be kind."),
                Message::new("user", "Hi"),
            ],
            vec![
                Message::new("assistant", "Hello"),
                Message::new("user", "Bye"),
            ],
        ];
        let mut plan = plan(&[]);
        plan.recorded = vec![turns];
        plan.conversations = 1;
        let mut all = Conversation::all(&plan, 7);
        for conversation in &mut all {
            assert!(conversation.ask());
            conversation.hear("Howdy");
            assert!(conversation.ask());
            assert!(!conversation.ask());
            let said: Vec<_> = conversation.messages.iter().map(text).collect();
            assert_eq!(said[1..], ["Hi", "Hello", "Bye"]);
            assert!(said[0].ends_with("\nBe kind."));
        }
        assert_ne!(all[0].messages[0], all[1].messages[0]);
    }
}

//! The encoding of what Redis stores and publishes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tower_affinity_token::{Session, Token};

/// The state of a session.
#[derive(Clone)]
pub(crate) enum Value {
    Token(Token),
    Forgotten(Token),
    /// A token whose lifetime has ended.
    Ended,
}

/// A change that a process made, and the resulting state.
pub(crate) struct Message {
    pub(crate) sender: Sender,
    pub(crate) session: Session,
    pub(crate) value: Value,
}

/// Which change of which process, so that a process recognizes its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) process: u64,
    pub(crate) number: u64,
}

impl Message {
    /// Returns `None` for bytes that this version does not publish.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
        let sender = str::from_utf8(parts.next()?).ok()?;
        let (process, number) = sender.split_once(' ')?;
        let sender = Sender {
            process: process.parse().ok()?,
            number: number.parse().ok()?,
        };
        let session = session(parts.next()?)?;
        let value = value(parts.next()?)?;
        Some(Self {
            sender,
            session,
            value,
        })
    }
}

impl Sender {
    pub(crate) fn encode(self) -> String {
        format!("{} {}", self.process, self.number)
    }
}

pub(crate) fn session(text: &[u8]) -> Option<Session> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// Parses the value of a key.
pub(crate) fn value(bytes: &[u8]) -> Option<Value> {
    let (kind, rest) = bytes.split_first()?;
    let space = rest.iter().position(|byte| *byte == b' ')?;
    let end: u64 = str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
    let token = Token::try_from(&rest[space + 1..]).ok()?;
    let remaining = end.saturating_sub(unix_time());
    let is_over = end != 0 && remaining == 0;
    match kind {
        b'-' => Some(Value::Forgotten(token)),
        b'+' if is_over => Some(Value::Ended),
        b'+' => {
            let lifetime = (end != 0).then(|| Duration::from_millis(remaining));
            Some(Value::Token(token.with_lifetime(lifetime)))
        }
        _ => None,
    }
}

/// Writes the end of the token's lifetime (Unix time in milliseconds, or 0) and the token.
pub(crate) fn encode(token: &Token) -> Vec<u8> {
    let end = token.lifetime().map_or(0, |lifetime| {
        unix_time().saturating_add(millis(lifetime)).max(1)
    });
    let mut value = format!("{end} ").into_bytes();
    value.extend_from_slice(token.as_bytes());
    value
}

/// Returns at least 1, since Redis rejects an expiry of 0, and at most what Redis can add to its clock.
pub(crate) fn millis(duration: Duration) -> u64 {
    const CENTURY: u64 = 100 * 365 * 24 * 3600 * 1000;
    let millis = duration.as_millis().try_into().unwrap_or(u64::MAX);
    millis.clamp(1, CENTURY)
}

fn unix_time() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, millis)
}

//! The state that the store shares with its task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tower_affinity_token::{MemoryStore, Session, Token, TokenStore as _};

use crate::changes::{Changes, Kind};
use crate::value::Value;

pub(crate) struct Shared {
    pub(crate) memory: MemoryStore,
    /// Locked while the memory changes, so that an older change of another process cannot interleave. Never
    /// locked across an `await`.
    changes: Mutex<Changes>,
    wake: Notify,
    is_connected: AtomicBool,
}

impl Shared {
    pub(crate) fn new(memory: MemoryStore) -> Self {
        Self {
            memory,
            changes: Mutex::default(),
            wake: Notify::new(),
            is_connected: AtomicBool::new(false),
        }
    }

    pub(crate) fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self, session: &Session, kind: Kind, token: Token) -> bool {
        let mut changes = self.changes();
        match kind {
            Kind::Put => self.memory.put(session, token.clone()),
            Kind::PutFirst if !self.memory.put_first(session, token.clone()) => return false,
            Kind::PutFirst => {}
            Kind::Forget => self.memory.forget(session, &token),
        }
        changes.push(session, kind, token);
        drop(changes);
        self.wake.notify_one();
        true
    }

    /// Applies what Redis says to the memory, unless this process has changed the session since. Returns whether
    /// a token was written.
    pub(crate) fn apply(&self, session: &Session, value: Value) -> bool {
        let changes = self.changes();
        let latest = changes.latest(session);
        match value {
            Value::Token(token) => {
                // Unless it is the token that this process forgot: a different token stays in Redis.
                let is_older = latest
                    .is_some_and(|latest| latest.kind != Kind::Forget || latest.token == token);
                if !is_older {
                    self.memory.put(session, token);
                }
                !is_older
            }
            Value::Forgotten(token) => {
                if latest.is_none() {
                    self.memory.forget(session, &token);
                }
                false
            }
            Value::Ended => false,
        }
    }

    pub(crate) fn confirm(&self, session: &Session, number: u64) {
        self.changes().confirm(session, number);
    }

    /// Waits until there is a change to send.
    pub(crate) async fn changed(&self) {
        while !self.changes().has_waiting() {
            self.wake.notified().await;
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    pub(crate) fn set_connected(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        text.as_bytes().try_into().unwrap()
    }

    /// A token was put and then forgotten. Both changes were sent, and neither is confirmed.
    fn forgotten() -> (Shared, Session) {
        let shared = Shared::new(MemoryStore::new());
        let session = "https a.example x-session-token chat-7".parse().unwrap();
        shared.change(&session, Kind::Put, token("dead"));
        shared.changes().take(1);
        shared.change(&session, Kind::Forget, token("dead"));
        shared.changes().take(1);
        (shared, session)
    }

    #[test]
    fn an_older_published_token_does_not_revive_a_forgotten_one() {
        let (shared, session) = forgotten();
        shared.confirm(&session, 1);
        assert!(!shared.apply(&session, Value::Token(token("dead"))));
        assert_eq!(shared.memory.get(&session), None);
    }

    #[test]
    fn a_different_published_token_is_accepted_while_a_forgotten_one_is_unconfirmed() {
        let (shared, session) = forgotten();
        assert!(shared.apply(&session, Value::Token(token("new"))));
        assert_eq!(shared.memory.get(&session), Some(token("new")));
    }

    #[test]
    fn a_token_published_after_the_confirmation_is_accepted() {
        let (shared, session) = forgotten();
        shared.confirm(&session, 2);
        assert!(shared.apply(&session, Value::Token(token("dead"))));
        assert_eq!(shared.memory.get(&session), Some(token("dead")));
    }

    #[test]
    fn a_published_change_does_not_replace_a_waiting_one() {
        let (shared, session) = forgotten();
        shared.change(&session, Kind::Put, token("mine"));
        assert!(!shared.apply(&session, Value::Token(token("older"))));
        shared.apply(&session, Value::Forgotten(token("mine")));
        assert_eq!(shared.memory.get(&session), Some(token("mine")));
    }
}

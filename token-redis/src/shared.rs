//! What the store and its task share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tower_affinity_token::{MemoryStore, Session, Token, TokenStore as _};

use crate::changes::{Changes, Kind};
use crate::value::Value;

pub(crate) struct Shared {
    pub(crate) memory: MemoryStore,
    /// Held while the memory changes, so that no older change of another process comes between. Never
    /// held while anything is awaited.
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

    /// Remembers or forgets what Redis says, unless this process has changed it since. Returns whether a
    /// token was written.
    pub(crate) fn apply(&self, session: &Session, value: Value) -> bool {
        let changes = self.changes();
        let latest = changes.latest(session);
        match value {
            Value::Token(token) => {
                // Another token than the one that was forgotten here is not older: it stays in Redis.
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

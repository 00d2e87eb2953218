//! The changes of this process that Redis has not confirmed yet.

use std::collections::HashMap;

use hashlink::LinkedHashMap;
use tower_affinity_token::{Session, Token};

/// What this process did to the token of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Put,
    PutFirst,
    Forget,
}

#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    pub(crate) token: Token,
    pub(crate) number: u64,
}

/// The latest unconfirmed change of each session, bounded in number.
///
/// A change is confirmed when it comes back through the subscription. Any message before that is older.
#[derive(Default)]
pub(crate) struct Changes {
    /// Ordered by when each session began to wait.
    waiting: LinkedHashMap<Session, Change>,
    sent: HashMap<Session, Change>,
    last_number: u64,
    dropped: u64,
}

impl Changes {
    /// The most sessions whose changes wait.
    pub(crate) const MAX_WAITING: usize = 16_384;
    /// The most changes in flight at once.
    const MAX_SENT: usize = 1_024;

    pub(crate) fn push(&mut self, session: &Session, kind: Kind, token: Token) {
        self.last_number += 1;
        let change = Change {
            kind,
            token,
            number: self.last_number,
        };
        if let Some(waiting) = self.waiting.get_mut(session) {
            *waiting = change;
            return;
        }
        if self.waiting.len() == Self::MAX_WAITING {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.insert(session.clone(), change);
    }

    /// Moves up to `most` changes from waiting to sent, and returns them.
    pub(crate) fn take(&mut self, most: usize) -> Vec<(Session, Change)> {
        let most = most.min(Self::MAX_SENT.saturating_sub(self.sent.len()));
        let taken: Vec<_> = std::iter::from_fn(|| self.waiting.pop_front())
            .take(most)
            .collect();
        self.sent.extend(taken.iter().cloned());
        taken
    }

    pub(crate) fn confirm(&mut self, session: &Session, number: u64) {
        if self
            .sent
            .get(session)
            .is_some_and(|sent| sent.number == number)
        {
            self.sent.remove(session);
        }
    }

    /// Lets changes in flight wait again, since they may have been lost with the connection.
    pub(crate) fn send_again(&mut self) {
        for (session, change) in std::mem::take(&mut self.sent) {
            if !self.waiting.contains_key(&session) {
                self.waiting.insert(session, change);
            }
        }
    }

    /// Returns the latest unconfirmed change of this session.
    pub(crate) fn latest(&self, session: &Session) -> Option<&Change> {
        self.waiting.get(session).or_else(|| self.sent.get(session))
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty() && self.sent.len() < Self::MAX_SENT
    }

    /// Returns the number of sessions with an unconfirmed change.
    pub(crate) fn len(&self) -> usize {
        let sent = self.sent.keys();
        let sent = sent.filter(|session| !self.waiting.contains_key(*session));
        self.waiting.len() + sent.count()
    }

    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }
}

//! The two decisions: which token a request is sent with, and what is learned when it ends.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
// What happened to the header; our own `Outcome` also says what happened to the token.
use tower_session_affinity::Outcome as Sent;
use tower_session_affinity::{KeyExtractor, RequestHead};

use crate::health::{Health, Moment};
use crate::rules::{Issued, OVER, Rules};
use crate::{Ending, Outcome, Session, Token, TokenStore};

/// What a service shares with its requests in flight.
#[derive(Debug)]
pub(crate) struct Shared<St> {
    pub(crate) rules: Rules,
    pub(crate) store: St,
    /// Shared by all services of a layer, as the store is.
    pub(crate) health: Arc<Health>,
}

/// A request of a session in flight, and the remembered token that it carries.
#[derive(Debug)]
pub(crate) struct Exchange<St: TokenStore> {
    shared: Arc<Shared<St>>,
    session: Session,
    sent: Option<Token>,
    moment: Moment,
    /// Whether the request was polled and has not ended yet.
    is_waiting: bool,
}

impl<St: TokenStore> Exchange<St> {
    /// Puts the token of its session into a request; `None` if the response is to be ignored.
    pub(crate) fn begin<K: KeyExtractor, B>(
        shared: &Arc<Shared<St>>,
        extractor: &K,
        request: &mut Request<B>,
    ) -> Option<Self> {
        let rules = &shared.rules;
        let mut exchange = None;
        let sent = rules.request_header.apply(request, |head| {
            let session = session(rules, extractor, head)?;
            let exchange = exchange.insert(Self::new(shared, session));
            let token = exchange.sent.clone().map(HeaderValue::from);
            let value = token.or_else(|| rules.opening.clone());
            value.ok_or(Sent::NoKey)
        });
        let outcome = match &mut exchange {
            None => without_session(sent),
            Some(exchange) => exchange.outcome(sent),
        };
        rules.tell(outcome);
        exchange
    }

    fn new(shared: &Arc<Shared<St>>, session: Session) -> Self {
        // Taken before the token is read, so that a token forgotten in between counts as forgotten later.
        let moment = shared.health.now();
        Self {
            sent: shared.store.get(&session),
            shared: shared.clone(),
            session,
            moment,
            is_waiting: false,
        }
    }

    /// Returns what happened to a request that has a session.
    fn outcome(&mut self, sent: Sent) -> Outcome {
        match sent {
            Sent::Stamped | Sent::Replaced if self.sent.is_some() => Outcome::Echoed,
            Sent::Stamped | Sent::Replaced => Outcome::Opened,
            Sent::MapFull => {
                self.sent = None;
                Outcome::MapFull
            }
            _ => Outcome::NothingRemembered,
        }
    }

    /// Notes that the inner service's future is being polled.
    #[inline]
    pub(crate) const fn poll(&mut self) {
        self.is_waiting = true;
    }

    pub(crate) fn end<R, E>(mut self, result: &Result<Response<R>, E>) {
        self.is_waiting = false;
        let outcome = match result {
            Ok(response) => self.learn(response.status(), response.headers()),
            Err(_) => self.settle(Ending::Error, Outcome::Unchanged),
        };
        self.shared.rules.tell(outcome);
    }

    /// Remembers the token in the response, or forgets the one that the response says is dead.
    fn learn(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        let rules = &self.shared.rules;
        let issued = rules.issued(headers, self.sent.as_ref());
        let over = self.over(status, headers, &issued);
        let ending = Ending::Answered(status);
        match (issued, over) {
            (Issued::New(token), over) => match self.remember(token) {
                outcome @ (Outcome::NotFirst | Outcome::Stale) => {
                    over.unwrap_or_else(|| self.settle(ending, outcome))
                }
                outcome => outcome,
            },
            (_, Some(over)) => over,
            (Issued::Invalid, None) => self.settle(ending, Outcome::InvalidToken),
            (Issued::Nothing, None) if self.sent.is_none() => {
                self.settle(ending, Outcome::NotIssued)
            }
            (Issued::Nothing, None) => self.settle(ending, Outcome::Unchanged),
            (Issued::Again { lifetime }, None) => {
                if lifetime.is_some() {
                    self.prolong(lifetime);
                }
                self.settle(ending, Outcome::Unchanged)
            }
        }
    }

    /// Forgets the tokens that this response says are over. Returns the reason if the token that was sent is
    /// one of them.
    fn over(&self, status: StatusCode, headers: &HeaderMap, issued: &Issued) -> Option<Outcome> {
        let rules = &self.shared.rules;
        let mut over = None;
        for token in rules.closed(headers) {
            self.forget(&token);
            if self.sent.as_ref() == Some(&token) {
                over = Some(Outcome::ForgottenClosed);
            }
        }
        let sent = self.sent.as_ref()?;
        if over.is_none() {
            over = match issued {
                Issued::Again { lifetime: OVER } => Some(Outcome::ForgottenExpired),
                _ if (rules.is_dead)(status) => Some(Outcome::ForgottenStatus),
                _ => return None,
            };
            self.forget(sent);
        }
        over
    }

    fn forget(&self, token: &Token) {
        let Shared { store, health, .. } = &*self.shared;
        health.forget(&self.session, token, || store.forget(&self.session, token));
    }

    /// Stores the token, unless it is stale or not the first one.
    fn remember(&self, token: Token) -> Outcome {
        let Shared {
            rules,
            store,
            health,
        } = &*self.shared;
        let put = |token| {
            if rules.first_wins {
                return store.put_first(&self.session, token);
            }
            store.put(&self.session, token);
            true
        };
        match health.put(self.moment, &self.session, token, put) {
            None => Outcome::Stale,
            Some(false) => Outcome::NotFirst,
            Some(true) if self.sent.is_some() => Outcome::Changed,
            Some(true) => Outcome::Issued,
        }
    }

    /// Sets the lifetime of the token that was sent, if it is still the remembered one.
    fn prolong(&self, lifetime: Option<Duration>) {
        let Shared { store, health, .. } = &*self.shared;
        let Some(sent) = &self.sent else { return };
        health.alone(|| {
            if store.get(&self.session).as_ref() == Some(sent) {
                store.put(&self.session, sent.clone().with_lifetime(lifetime));
            }
        });
    }

    /// Counts a failure of the token that was sent, or resets its count. Returns the outcome of the failure,
    /// or `outcome` if this is not one.
    fn settle(&self, ending: Ending, outcome: Outcome) -> Outcome {
        let Shared {
            rules,
            store,
            health,
        } = &*self.shared;
        let is_failure = (rules.is_failure)(ending);
        match (&self.sent, ending) {
            (Some(sent), _) if is_failure => {
                let forget = || store.forget(&self.session, sent);
                if health.fail(&self.session, sent, rules.max_failures, forget) {
                    Outcome::ForgottenFailures
                } else {
                    Outcome::Failed
                }
            }
            (Some(sent), Ending::Answered(_)) => {
                health.succeed(&self.session, sent);
                outcome
            }
            (None, Ending::Answered(_)) if !is_failure => outcome,
            _ => Outcome::Failed,
        }
    }
}

/// Returns the session of a request, or why it has none.
#[inline]
fn session<K: KeyExtractor>(
    rules: &Rules,
    extractor: &K,
    head: RequestHead<'_>,
) -> Result<Session, Sent> {
    let key = extractor.extract(head);
    let key = key.ok_or_else(|| {
        if extractor.has_invalid_key(head) {
            Sent::InvalidKey
        } else {
            Sent::NoKey
        }
    })?;
    let session = Session::new(&rules.request_header.name, head.uri(), &key);
    session.ok_or(Sent::NoAuthority)
}

/// Returns why a request has no session.
fn without_session(sent: Sent) -> Outcome {
    match sent {
        Sent::Kept => Outcome::Kept,
        Sent::InvalidKey => Outcome::InvalidKey,
        Sent::Suppressed => Outcome::Suppressed,
        Sent::HostNotAllowed => Outcome::HostNotAllowed,
        Sent::NoAuthority => Outcome::NoAuthority,
        Sent::Tunnel => Outcome::Tunnel,
        _ => Outcome::NoKey,
    }
}

/// A future that is dropped before its response may have waited for a dead replica.
impl<St: TokenStore> Drop for Exchange<St> {
    fn drop(&mut self) {
        if self.is_waiting {
            let outcome = self.settle(Ending::Dropped, Outcome::Unchanged);
            self.shared.rules.tell(outcome);
        }
    }
}

//! The two decisions: what a request is sent with, and what is learned from how it ended.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tower_session_affinity::{KeyExtractor, MergePolicy, RequestHead};

use crate::health::{Health, Moment};
use crate::merge::{Existing, clear, keep_first, set};
use crate::rules::{Issued, OVER, Rules};
use crate::{Ending, Outcome, Session, Token, TokenStore};

/// What a service has in common with the requests that are on their way.
#[derive(Debug)]
pub(crate) struct Shared<St> {
    pub(crate) rules: Rules,
    pub(crate) store: St,
    /// Shared by all services of a layer, as the store is.
    pub(crate) health: Arc<Health>,
}

/// A request of a session that is on its way, and the remembered token that it carries.
#[derive(Debug)]
pub(crate) struct Exchange<St: TokenStore> {
    shared: Arc<Shared<St>>,
    session: Session,
    sent: Option<Token>,
    moment: Moment,
    /// Whether the request was polled, and has not ended.
    is_waiting: bool,
}

impl<St: TokenStore> Exchange<St> {
    /// Goes down the rows of [`MergePolicy`]'s table; `None` where the answer is not looked at.
    pub(crate) fn begin<K: KeyExtractor, B>(
        shared: &Arc<Shared<St>>,
        extractor: &K,
        request: &mut Request<B>,
    ) -> Option<Self> {
        let rules = &shared.rules;
        let existing = existing(rules, request);
        let session = existing.and_then(|existing| {
            let session = session(rules, extractor, request)?;
            Ok((session, existing))
        });
        let (outcome, exchange) = match session {
            Ok((session, existing)) => {
                let headers = request.headers_mut();
                let (outcome, exchange) = Self::send(shared, session, existing, headers);
                (outcome, Some(exchange))
            }
            Err(Outcome::Kept) => (Outcome::Kept, None),
            Err(outcome) => {
                clear(request.headers_mut(), &rules.request_header);
                (outcome, None)
            }
        };
        rules.tell(outcome);
        exchange
    }

    /// Sends the remembered token, else the opening value, else nothing.
    fn send(
        shared: &Arc<Shared<St>>,
        session: Session,
        existing: Existing,
        headers: &mut HeaderMap,
    ) -> (Outcome, Self) {
        let Shared {
            rules,
            store,
            health,
        } = &**shared;
        let name = &rules.request_header;
        let moment = health.now();
        let mut sent = store.get(&session);
        let token = sent.clone().map(HeaderValue::from);
        let outcome = match token.or_else(|| rules.opening.clone()) {
            None => {
                // To clear what is not there changes nothing, and costs a walk.
                if existing != Existing::Absent {
                    clear(headers, name);
                }
                Outcome::NothingRemembered
            }
            Some(value) => match (set(headers, name, value), &sent) {
                (true, Some(_)) => Outcome::Echoed,
                (true, None) => Outcome::Opened,
                (false, _) => {
                    sent = None;
                    Outcome::MapFull
                }
            },
        };
        let exchange = Self {
            shared: shared.clone(),
            session,
            sent,
            moment,
            is_waiting: false,
        };
        (outcome, exchange)
    }

    /// Notes that the inner service was asked for an answer.
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

    /// Remembers the token that the answer brings, or forgets the one that it says is dead.
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

    /// Forgets what this answer says is over, and returns why, where that is the token that was sent.
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

    /// Puts the token into the store.
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

    /// Counts a failure of the token that was sent, or begins to count anew. Returns the failure, else
    /// the outcome.
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

/// Returns what there is of the header, or why the answer is not looked at.
#[inline]
fn existing<B>(rules: &Rules, request: &mut Request<B>) -> Result<Existing, Outcome> {
    if let Some(outcome) = rules.forbid(request) {
        return Err(outcome);
    }
    if rules.merge_policy == MergePolicy::Replace {
        // What is there goes in any case, so there is no need to look.
        return Ok(Existing::Blank);
    }
    match keep_first(request.headers_mut(), &rules.request_header) {
        Existing::Kept => Err(Outcome::Kept),
        existing => Ok(existing),
    }
}

/// Names the session of a request, or returns why there is none.
#[inline]
fn session<K: KeyExtractor, B>(
    rules: &Rules,
    extractor: &K,
    request: &Request<B>,
) -> Result<Session, Outcome> {
    let head = RequestHead::from(request);
    let key = extractor.extract(head);
    let key = key.ok_or_else(|| {
        if extractor.has_invalid_key(head) {
            Outcome::InvalidKey
        } else {
            Outcome::NoKey
        }
    })?;
    let session = Session::new(&rules.request_header, request.uri(), &key);
    session.ok_or(Outcome::NoAuthority)
}

/// A future that is dropped before there is an answer may have waited for a replica that is gone.
impl<St: TokenStore> Drop for Exchange<St> {
    fn drop(&mut self) {
        if self.is_waiting {
            let outcome = self.settle(Ending::Dropped, Outcome::Unchanged);
            self.shared.rules.tell(outcome);
        }
    }
}

//! The settings of a layer, and how they read a response.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tower_session_affinity::MergePolicy;
use tower_session_affinity::rules::{HeaderRules, is_blank};

use crate::report::Report;
use crate::{Ending, Outcome, Token};

/// Reads from the value of a response header how long its token is valid.
pub(crate) type ReadLifetime = fn(&[u8]) -> Option<Duration>;

/// The lifetime of a token that has expired.
pub(crate) const OVER: Option<Duration> = Some(Duration::ZERO);

/// All settings of a layer except the sources of keys and the store.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The header that the token is sent in.
    pub(crate) request_header: HeaderRules,
    pub(crate) response_header: HeaderName,
    pub(crate) closed_header: Option<HeaderName>,
    pub(crate) token_part: fn(&[u8]) -> &[u8],
    pub(crate) lifetime: Option<ReadLifetime>,
    pub(crate) opening: Option<HeaderValue>,
    pub(crate) first_wins: bool,
    pub(crate) is_dead: fn(StatusCode) -> bool,
    pub(crate) max_failures: u32,
    pub(crate) is_failure: fn(Ending) -> bool,
    pub(crate) report: Report,
}

/// What the response header brings.
pub(crate) enum Issued {
    Nothing,
    /// Values, none of which is a valid and unexpired token.
    Invalid,
    /// The token that the request carried.
    Again {
        lifetime: Option<Duration>,
    },
    /// A different token.
    New(Token),
}

impl Rules {
    pub(crate) fn new(header_name: HeaderName) -> Self {
        Self {
            response_header: header_name.clone(),
            request_header: HeaderRules {
                name: header_name,
                policy: MergePolicy::Keep,
                only_hosts: None,
            },
            closed_header: None,
            token_part: |value| value,
            lifetime: None,
            opening: None,
            first_wins: false,
            is_dead: |status| matches!(status.as_u16(), 404 | 410 | 503),
            max_failures: 2,
            is_failure: Ending::is_failure,
            report: Report::default(),
        }
    }

    /// Reads the first value that holds a token.
    pub(crate) fn issued(&self, headers: &HeaderMap, sent: Option<&Token>) -> Issued {
        let mut issued = Issued::Nothing;
        for value in headers.get_all(&self.response_header) {
            let part = (self.token_part)(value.as_bytes());
            let lifetime = || self.lifetime.and_then(|read| read(value.as_bytes()));
            // Most gateways repeat the token; then it need not be copied.
            if sent.is_some_and(|sent| sent.as_bytes() == part) {
                let lifetime = lifetime();
                issued = Issued::Again { lifetime };
                if lifetime != OVER {
                    break;
                }
            } else if let Some(token) = Self::token(part, lifetime) {
                return Issued::New(token);
            } else if matches!(issued, Issued::Nothing) && !is_blank(value) {
                issued = Issued::Invalid;
            }
        }
        issued
    }

    /// Makes a token of this part, unless it has expired.
    fn token(part: &[u8], lifetime: impl FnOnce() -> Option<Duration>) -> Option<Token> {
        let token = Token::try_from(part).ok()?;
        let lifetime = lifetime();
        (lifetime != OVER).then(|| token.with_lifetime(lifetime))
    }

    /// Returns the tokens of the sessions that this response says are over.
    pub(crate) fn closed(&self, headers: &HeaderMap) -> impl Iterator<Item = Token> {
        let names = self.closed_header.iter();
        let values = names.flat_map(|name| headers.get_all(name));
        let tokens = values.map(|value| (self.token_part)(value.as_bytes()).try_into());
        tokens.filter_map(Result::ok)
    }

    #[inline]
    pub(crate) fn tell(&self, outcome: Outcome) {
        self.report.tell(outcome, &self.request_header.name);
    }
}

//! The two decisions: what a request leaves with, and what its answer teaches.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use tower_session_affinity::{HostPattern, KeyExtractor, MergePolicy, NoAffinity, RequestHead};

use crate::merge::{keep_first, set};
use crate::{Session, Token, TokenStore};

/// All settings of a layer, but for where keys come from and where tokens are remembered.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) request_header: HeaderName,
    pub(crate) response_header: HeaderName,
    pub(crate) token_part: fn(&[u8]) -> &[u8],
    pub(crate) opening: Option<HeaderValue>,
    pub(crate) merge_policy: MergePolicy,
    pub(crate) only_hosts: Option<Arc<[HostPattern]>>,
    pub(crate) is_dead: fn(StatusCode) -> bool,
}

/// What the service has in common with the requests that are on their way.
#[derive(Debug)]
pub(crate) struct Shared<St> {
    pub(crate) rules: Rules,
    pub(crate) store: St,
}

/// A request of a session that is on its way, and the token of ours that it carries.
#[derive(Debug)]
pub(crate) struct Exchange<St> {
    shared: Arc<Shared<St>>,
    session: Session,
    sent: Option<Token>,
}

impl<St: TokenStore> Exchange<St> {
    /// Goes down the rows of [`MergePolicy`]'s table; `None` where the answer teaches nothing.
    pub(crate) fn begin<K: KeyExtractor, B>(
        shared: &Arc<Shared<St>>,
        extractor: &K,
        request: &mut Request<B>,
    ) -> Option<Self> {
        let Shared { rules, store } = &**shared;
        let name = &rules.request_header;
        if rules.forbid(request) {
            set(request.headers_mut(), name, None);
            return None;
        }
        let keeps = rules.merge_policy != MergePolicy::Replace;
        if keeps && keep_first(request.headers_mut(), name) {
            return None;
        }
        let key = extractor.extract(RequestHead::from(&*request));
        let Some(session) = key.and_then(|key| Session::new(request.uri(), &key)) else {
            set(request.headers_mut(), name, None);
            return None;
        };
        let sent = store.get(&session);
        let value = sent.clone().map(HeaderValue::from);
        let value = value.or_else(|| rules.opening.clone());
        let is_set = set(request.headers_mut(), name, value);
        Some(Self {
            shared: shared.clone(),
            session,
            sent: sent.filter(|_| is_set),
        })
    }

    /// Remembers the token that this answer brings, or forgets the one that it says is dead.
    pub(crate) fn end<R>(self, response: &Response<R>) {
        let Shared { rules, store } = &*self.shared;
        let issued = rules.issued(response);
        if let Some(sent) = self.sent.filter(|_| (rules.is_dead)(response.status())) {
            // A gateway that repeats a dead token does not issue it anew.
            if issued.as_ref().is_none_or(|issued| *issued == sent) {
                store.forget(&self.session, &sent);
                return;
            }
        }
        if let Some(token) = issued {
            store.put(&self.session, token);
        }
    }
}

impl Rules {
    /// Whether this request must leave without the header.
    fn forbid<B>(&self, request: &Request<B>) -> bool {
        let listed = |hosts: &[HostPattern], uri: &Uri| hosts.iter().any(|host| host.matches(uri));
        request.extensions().get::<NoAffinity>().is_some()
            || self
                .only_hosts
                .as_deref()
                .is_some_and(|hosts| !listed(hosts, request.uri()))
    }

    /// Returns a copy of the first value of the response header that holds a token.
    fn issued<R>(&self, response: &Response<R>) -> Option<Token> {
        let values = response.headers().get_all(&self.response_header);
        let mut tokens = values
            .iter()
            .map(|value| (self.token_part)(value.as_bytes()).try_into());
        tokens.find_map(Result::ok)
    }
}

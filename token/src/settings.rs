//! The settings of the layer.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use tower_session_affinity::{
    AffinityKey, FromFn, HostPattern, KeyExtractor, MergePolicy, Or, RequestHead, from_fn,
};

use crate::{AffinityTokenLayer, Ending, Outcome, TokenStore};

impl<K, St> AffinityTokenLayer<K, St> {
    /// Takes the key from this source if no earlier source has one.
    pub fn or<E: KeyExtractor>(self, fallback: E) -> AffinityTokenLayer<Or<K, E>, St> {
        AffinityTokenLayer {
            extractor: Or::new(self.extractor, fallback),
            rules: self.rules,
            store: self.store,
            health: self.health,
        }
    }

    /// Takes the key from this closure if no earlier source has one.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_affinity_token::{AffinityTokenLayer, header};
    ///
    /// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
    ///     .or_fn(|req| req.key("x-user-id"));
    /// ```
    pub fn or_fn<F>(self, fallback: F) -> AffinityTokenLayer<Or<K, FromFn<F>>, St>
    where
        F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
    {
        self.or(from_fn(fallback))
    }

    /// Reads the token from a response header with this name, instead of the name under which it is sent.
    pub fn response_header(mut self, name: HeaderName) -> Self {
        self.rules.response_header = name;
        self
    }

    /// Takes only a part of the response header as the token.
    ///
    /// `part` is a function or a closure that captures nothing;
    /// [`attributes::token`](crate::attributes::token) takes the part before the first semicolon. A blank part
    /// is not a token. The limit of 4,096 bytes applies to the part.
    ///
    /// # Examples
    ///
    /// SageMaker issues `ID; Expires=2026-11-26T15:00:00Z` and expects the `ID`:
    ///
    /// ```
    /// use http::{HeaderValue, StatusCode};
    /// use tower_affinity_token::{AffinityTokenLayer, attributes, header};
    ///
    /// let layer = AffinityTokenLayer::new(header::X_AMZN_SAGEMAKER_SESSION_ID)
    ///     .response_header(header::X_AMZN_SAGEMAKER_NEW_SESSION_ID)
    ///     .token_part(attributes::token)
    ///     .lifetime(attributes::lifetime)
    ///     .closed_header(header::X_AMZN_SAGEMAKER_CLOSED_SESSION_ID)
    ///     .opening(HeaderValue::from_static("NEW_SESSION"))
    ///     .forget_on(|status| status == StatusCode::FAILED_DEPENDENCY);
    /// ```
    pub fn token_part(mut self, part: fn(&[u8]) -> &[u8]) -> Self {
        self.rules.token_part = part;
        self
    }

    /// Reads how long a token is valid from the whole value of its response header.
    ///
    /// The token is not sent after that time. Zero means that it has expired: it is not remembered, and it is
    /// forgotten if the request carried it. By default, and if `lifetime` returns `None`, a token is valid for
    /// as long as it is used. `lifetime` is a function or a closure that captures nothing;
    /// [`attributes::lifetime`](crate::attributes::lifetime) reads `Max-Age` and `Expires`.
    pub const fn lifetime(mut self, lifetime: fn(&[u8]) -> Option<Duration>) -> Self {
        self.rules.lifetime = Some(lifetime);
        self
    }

    /// Forgets the tokens that a response lists in this header: their sessions are closed.
    ///
    /// [`token_part`](Self::token_part) applies to its values, too.
    pub fn closed_header(mut self, name: HeaderName) -> Self {
        self.rules.closed_header = Some(name);
        self
    }

    /// Sends this value if no token is remembered, for a gateway that issues one only on request.
    ///
    /// It is not sent with a request that has no key or no authority, since the token could not be remembered.
    pub fn opening(mut self, value: HeaderValue) -> Self {
        self.rules.opening = Some(value);
        self
    }

    /// Sets what happens if the header is already present.
    pub const fn merge_policy(mut self, policy: MergePolicy) -> Self {
        self.rules.request_header.policy = policy;
        self
    }

    /// Keeps the first token of a session until it is forgotten, whatever later answers bring.
    ///
    /// By default the latest token wins. Codex's backend expects the first token of a turn throughout that turn
    /// and none at the start of the next one, so the key names the turn:
    ///
    /// ```
    /// use http::Request;
    /// use tower_affinity_token::{AffinityTokenLayer, header};
    /// use tower_session_affinity::AffinityKey;
    ///
    /// let layer = AffinityTokenLayer::new(header::X_CODEX_TURN_STATE)
    ///     .first_token_wins();
    ///
    /// let (thread, turn) = ("0199b7a2", 3);
    /// let key: AffinityKey = format!("{thread}/{turn}").parse()?;
    /// let uri = "https://chatgpt.com/backend-api/codex/responses";
    /// let request = Request::post(uri).extension(key);
    /// # Ok::<_, tower_session_affinity::InvalidAffinityKey>(())
    /// ```
    pub const fn first_token_wins(mut self) -> Self {
        self.rules.first_wins = true;
        self
    }

    /// Sends the header, a caller's own included, only to these hosts.
    ///
    /// An empty list allows no host, and a second list replaces the first. A URI without an authority matches
    /// no list. Regardless of the list, a remembered token is sent only to the origin that issued it. The list
    /// does not cover headers that are added inside this layer, nor a forward proxy for plain HTTP.
    pub fn only_hosts(mut self, hosts: impl IntoIterator<Item = HostPattern>) -> Self {
        self.rules.request_header.only_hosts = Some(hosts.into_iter().collect());
        self
    }

    /// Sets which statuses say that the token that was sent is dead, so that it is forgotten at once.
    ///
    /// By default these are 404, 410 and 503. 400 is not one of them, since it is also the response to a
    /// context that is too long; 502 and 504 are [failures](Self::forget_after). `is_dead` is called only for
    /// responses to requests that carried a remembered token. It is a function or a closure that captures
    /// nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_affinity_token::{AffinityTokenLayer, header};
    ///
    /// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
    ///     .forget_on(|status| {
    ///         status.is_server_error() || status == StatusCode::BAD_REQUEST
    ///     });
    /// ```
    pub const fn forget_on(mut self, is_dead: fn(StatusCode) -> bool) -> Self {
        self.rules.is_dead = is_dead;
        self
    }

    /// Sets how many consecutive failures make a session forget its token, and what counts as a failure.
    ///
    /// By default the second failure does, and [`Ending::is_failure`] decides: an error of the inner service,
    /// the status 502 or 504, or a future that was polled and then dropped without a response. So one caller
    /// that hangs up costs a healthy session nothing, and a session whose replica is gone starts over with its
    /// third request at the latest.
    ///
    /// Only requests that carried the remembered token count, in the order in which they end. A response that
    /// is not a failure resets the count, and so does the same token when it is issued again. The services of
    /// this layer share their counts; two layers that share a store do not. Zero is the same as one: the first
    /// failure forgets the token. `is_failure` is a function or a closure that captures nothing; with
    /// `|_| false`, no failure forgets a token.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_affinity_token::{AffinityTokenLayer, Ending, header};
    ///
    /// // Rate limits count as failures, too.
    /// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
    ///     .forget_after(3, |ending| match ending {
    ///         Ending::Answered(status) if status == 429 => true,
    ///         ending => ending.is_failure(),
    ///     });
    /// ```
    pub const fn forget_after(mut self, failures: u32, is_failure: fn(Ending) -> bool) -> Self {
        self.rules.max_failures = failures;
        self.rules.is_failure = is_failure;
        self
    }

    /// Calls this hook with each [`Outcome`], on the thread that sends the request or polls its future.
    ///
    /// A second hook replaces the first. The hook must not panic, since it is also called while a future is
    /// dropped.
    ///
    /// # Examples
    ///
    /// A counter with a label:
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use tower_affinity_token::{AffinityTokenLayer, Outcome, header};
    ///
    /// let zero = |outcome: Outcome| (outcome.as_str(), AtomicU64::new(0));
    /// let counts = Arc::new(Outcome::ALL.map(zero));
    /// let counted = counts.clone();
    /// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
    ///     .on_outcome(move |outcome| {
    ///         let mut counters = counted.iter();
    ///         let counter = counters.find(|(name, _)| *name == outcome.as_str());
    ///         counter.unwrap().1.fetch_add(1, Ordering::Relaxed);
    ///     });
    /// ```
    pub fn on_outcome(mut self, hook: impl Fn(Outcome) + Send + Sync + 'static) -> Self {
        self.rules.report.hook = Some(Arc::new(hook));
        self
    }

    /// Remembers tokens in this store.
    ///
    /// Each service gets a clone of the store, and clones must share their tokens. An `Arc` of a [`TokenStore`]
    /// does.
    pub fn store<T: TokenStore>(self, store: T) -> AffinityTokenLayer<K, T> {
        AffinityTokenLayer {
            extractor: self.extractor,
            rules: self.rules,
            store,
            health: self.health,
        }
    }
}

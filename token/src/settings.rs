//! What can be set in a layer.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use tower_session_affinity::{
    AffinityKey, FromFn, HostPattern, KeyExtractor, MergePolicy, Or, RequestHead, from_fn,
};

use crate::{AffinityTokenLayer, Ending, Outcome, TokenStore};

impl<K, St> AffinityTokenLayer<K, St> {
    /// Asks this source where no earlier one has a key.
    pub fn or<E: KeyExtractor>(self, fallback: E) -> AffinityTokenLayer<Or<K, E>, St> {
        AffinityTokenLayer {
            extractor: Or::new(self.extractor, fallback),
            rules: self.rules,
            store: self.store,
            health: self.health,
        }
    }

    /// Asks this closure where no earlier source has a key.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_affinity_token::{AffinityTokenLayer, header};
    ///
    /// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
    ///     .or_fn(|req| req.headers().get("x-user-id")?.try_into().ok());
    /// ```
    pub fn or_fn<F>(self, fallback: F) -> AffinityTokenLayer<Or<K, FromFn<F>>, St>
    where
        F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
    {
        self.or(from_fn(fallback))
    }

    /// Reads the token from a response header of this name instead of the one that is sent.
    pub fn response_header(mut self, name: HeaderName) -> Self {
        self.rules.response_header = name;
        self
    }

    /// Takes only this part of the response header for the token.
    ///
    /// An empty part is not a token. `part` is a function, or a closure that captures nothing;
    /// [`attributes::token`](crate::attributes::token) takes what is before the first semicolon. The
    /// bound of 4,096 bytes is the part's.
    ///
    /// # Examples
    ///
    /// SageMaker answers `ID; Expires=2026-11-26T15:00:00Z` and expects the `ID`:
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

    /// Reads from the whole value of the response header for how long its token is valid from now on.
    ///
    /// A token is not sent after that, and zero means that it is over: then it is not remembered, and it
    /// is forgotten where the request carried it. By default, and where `lifetime` returns `None`, a
    /// token is valid for as long as it is used. `lifetime` is a function, or a closure that captures
    /// nothing; [`attributes::lifetime`](crate::attributes::lifetime) reads `Max-Age` and `Expires`.
    pub const fn lifetime(mut self, lifetime: fn(&[u8]) -> Option<Duration>) -> Self {
        self.rules.lifetime = Some(lifetime);
        self
    }

    /// Forgets a token that an answer names in a header of this name, since its session is over.
    ///
    /// It is read through [`token_part`](Self::token_part), too.
    pub fn closed_header(mut self, name: HeaderName) -> Self {
        self.rules.closed_header = Some(name);
        self
    }

    /// Sends this value where no token is remembered, for a gateway that has to be asked for one.
    ///
    /// A request without a key or an authority does not send it, since its token could not be
    /// remembered.
    pub fn opening(mut self, value: HeaderValue) -> Self {
        self.rules.opening = Some(value);
        self
    }

    /// Sets what happens where the header is already present.
    pub const fn merge_policy(mut self, policy: MergePolicy) -> Self {
        self.rules.request_header.policy = policy;
        self
    }

    /// Keeps the first token of a session until it is forgotten, whatever later answers bring.
    ///
    /// By default the latest token wins. Codex's backend wants the first one of a turn for the whole
    /// turn, and none in the next turn, so the key has to name the turn:
    ///
    /// ```
    /// use http::Request;
    /// use tower_affinity_token::{AffinityTokenLayer, header};
    /// use tower_session_affinity::AffinityKey;
    ///
    /// let layer = AffinityTokenLayer::new(header::X_CODEX_TURN_STATE).first_token_wins();
    ///
    /// let (thread, turn) = ("0199b7a2", 3);
    /// let key: AffinityKey = format!("{thread}/{turn}").parse()?;
    /// let request = Request::post("https://chatgpt.com/backend-api/codex/responses").extension(key);
    /// # Ok::<_, tower_session_affinity::InvalidAffinityKey>(())
    /// ```
    pub const fn first_token_wins(mut self) -> Self {
        self.rules.first_wins = true;
        self
    }

    /// Lets the header, a caller's own included, reach these hosts and no others.
    ///
    /// An empty list allows none; of two lists the last one set applies. A request whose URI has no authority
    /// goes to no listed host. Whatever the list, a remembered token is sent only to the origin that issued
    /// it. What is added inside of this layer, and a forward proxy for plain HTTP, is not covered.
    pub fn only_hosts(mut self, hosts: impl IntoIterator<Item = HostPattern>) -> Self {
        self.rules.request_header.only_hosts = Some(hosts.into_iter().collect());
        self
    }

    /// Sets which statuses say that the token that was sent is dead: it is forgotten at once.
    ///
    /// By default these are 404, 410 and 503. 400 is not among them, since a context that is too long is
    /// answered with it, too; 502 and 504 are [failures](Self::forget_after). `is_dead` is asked only about
    /// answers to requests that carried a remembered token; it is a function, or a closure that captures
    /// nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_affinity_token::{AffinityTokenLayer, header};
    ///
    /// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN)
    ///     .forget_on(|status| status.is_server_error() || status == StatusCode::BAD_REQUEST);
    /// ```
    pub const fn forget_on(mut self, is_dead: fn(StatusCode) -> bool) -> Self {
        self.rules.is_dead = is_dead;
        self
    }

    /// Sets how many failures in a row make a session forget its token, and what a failure is.
    ///
    /// By default the second one does, and [`Ending::is_failure`] decides: an error of the inner service,
    /// the status 502 or 504, and a future that was polled and then dropped without an answer. So one
    /// caller that hangs up costs a healthy session nothing, and a session whose replica is gone
    /// starts anew with the third request at the latest.
    ///
    /// Only requests that carried the remembered token count. They are in a row if no answer came between
    /// their ends; an answer that is not a failure begins the count anew, and so does the same token when
    /// it is issued again. The services of this layer count together; two layers that share a store count
    /// apart. Zero is the same as one: the first failure forgets. `is_failure` is a function, or a closure
    /// that captures nothing; `|_| false` never forgets for a failure.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_affinity_token::{AffinityTokenLayer, Ending, header};
    ///
    /// // Rate limits count as failures, too.
    /// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN).forget_after(3, |ending| {
    ///     ending.is_failure() || matches!(ending, Ending::Answered(status) if status == 429)
    /// });
    /// ```
    pub const fn forget_after(mut self, failures: u32, is_failure: fn(Ending) -> bool) -> Self {
        self.rules.max_failures = failures;
        self.rules.is_failure = is_failure;
        self
    }

    /// Calls this with each [`Outcome`], on the thread that sends the request or polls its answer.
    ///
    /// A second hook replaces the first. It must not panic: a future that is dropped calls it, too.
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
    /// let counts = Arc::new(Outcome::ALL.map(|outcome| (outcome.as_str(), AtomicU64::new(0))));
    /// let counted = counts.clone();
    /// let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN).on_outcome(move |outcome| {
    ///     let counter = counted.iter().find(|(name, _)| *name == outcome.as_str());
    ///     counter.unwrap().1.fetch_add(1, Ordering::Relaxed);
    /// });
    /// ```
    pub fn on_outcome(mut self, hook: impl Fn(Outcome) + Send + Sync + 'static) -> Self {
        self.rules.report.hook = Some(Arc::new(hook));
        self
    }

    /// Remembers in this store.
    ///
    /// Each service has a clone of it, so a clone must share what it remembers: an `Arc` of a
    /// [`TokenStore`] is one.
    pub fn store<T: TokenStore>(self, store: T) -> AffinityTokenLayer<K, T> {
        AffinityTokenLayer {
            extractor: self.extractor,
            rules: self.rules,
            store,
            health: self.health,
        }
    }
}

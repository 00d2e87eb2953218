//! The layer that sends the key in a body field, and its settings.

use http::HeaderName;
use tower_layer::Layer;

use super::PromptCacheKey;
use crate::{
    AffinityKey, Destinations, FromExtension, FromFn, FromHeaders, KeyExtractor, Or, Outcome,
    RequestHead, SessionAffinityLayer,
};
#[cfg(feature = "hmac")]
use crate::{AffinitySecret, DerivedFromHeaders};

/// Sends the session's key in a top-level field of a JSON body, such as OpenAI's `prompt_cache_key`.
///
/// It does for a body field what [`SessionAffinityLayer`] does for a header: the key comes from the same
/// sources by the same rules. It is sent only to [`Destinations`] whose row names a body field. By default
/// these are the [known](Destinations::known) ones: `api.openai.com`, `api.x.ai` and `api.mistral.ai`, at the
/// paths that read `prompt_cache_key`.
///
/// The feature `body-field` adds the crates `http-body`, `memchr` and `pin-project-lite`.
///
/// # Examples
///
/// ```
/// use http::Request;
/// use http_body_util::{BodyExt, Full};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_session_affinity::{AffinityKey, FieldBody, PromptCacheKeyLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Any client whose body type is free; this one returns what it received.
/// let client = service_fn(async |request: Request<FieldBody<Full<bytes::Bytes>>>| {
///     request.into_body().collect().await
/// });
/// let client = ServiceBuilder::new().layer(PromptCacheKeyLayer::new()).service(client);
///
/// let key: AffinityKey = "chat-7".parse()?;
/// let request = Request::post("https://api.openai.com/v1/chat/completions")
///     .header("content-type", "application/json")
///     .extension(key)
///     .body(r#"{"model":"gpt-5"}"#.into())?;
/// let received = client.oneshot(request).await?.to_bytes();
/// assert_eq!(received, r#"{"model":"gpt-5","prompt_cache_key":"chat-7"}"#);
/// # Ok(())
/// # }
/// ```
///
/// # What happens to a body
///
/// The body streams. It is neither buffered nor reserialized, because a different order of keys or a
/// different number format would change the very prompt that is to be cached. The member is written before the
/// closing brace, and every other byte stays unchanged and in its place. If the field is there already, even
/// as `null`, the caller's value wins.
///
/// Only the end of the object tells whether the field is there, and by then the length has been sent. So the
/// body always grows by the same number of bytes: if the member is not written, as many spaces follow the end.
/// `content-length` is corrected if there is one, and never added.
///
/// # When a body is not changed
///
/// The layer may decide from the request's head to pass the body on unchanged. The [`Outcome`] says why:
///
/// - [`HostNotAllowed`](Outcome::HostNotAllowed): the host or the path is not listed.
/// - [`FieldNotRead`](Outcome::FieldNotRead): the host's row does not name a field.
/// - [`NoAuthority`](Outcome::NoAuthority): the URI has no authority.
/// - [`Suppressed`](Outcome::Suppressed): [`NoAffinity`](crate::NoAffinity) is in the extensions. A field that
///   the caller has set stays.
/// - [`NotJson`](Outcome::NotJson): the content type is not `application/json`, `text/json` or `…+json`, its
///   `charset` is not UTF-8, or there is no body.
/// - [`Encoded`](Outcome::Encoded): there is a `content-encoding`, or a length that cannot be read.
/// - [`Signed`](Outcome::Signed): the request is signed, or has a digest of the body: `authorization: AWS4-…` or
///   a different vendor's HMAC, `x-amz-content-sha256` and similar, `content-digest`, `digest`, `content-md5`,
///   `signature` or `signature-input`.
/// - [`NoKey`](Outcome::NoKey), [`InvalidKey`](Outcome::InvalidKey), [`TooLong`](Outcome::TooLong): there is no
///   key, there are only invalid ones, or the key is longer than the row takes (64 bytes at OpenAI).
///
/// Otherwise the outcome is known at the end of the body:
///
/// - [`Stamped`](Outcome::Stamped): the field was written.
/// - [`Kept`](Outcome::Kept): the field is there, or a name with an escape, which is not decoded.
/// - [`NotAnObject`](Outcome::NotAnObject): the body is not one JSON object.
///
/// A body that fails, or is dropped before its end, has no outcome.
///
/// # Where it goes in a stack
///
/// Put it inside whatever changes the host, such as redirects. Put it outside a [`SessionAffinityLayer`] that
/// removes the headers that name the session. The inner service gets a [`FieldBody`](crate::FieldBody) around
/// the caller's body; a service of reqwest keeps its own body type.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct PromptCacheKeyLayer<K = FromExtension> {
    /// The same settings, read for a body.
    pub(super) settings: SessionAffinityLayer<K>,
}

impl PromptCacheKeyLayer {
    /// Takes the key from the request's extensions, and sends it where [`Destinations::known`] says.
    pub fn new() -> Self {
        Self::from_source(FromExtension)
    }
}

impl<K> PromptCacheKeyLayer<K> {
    /// Takes the key from this source instead of the request's extensions.
    pub fn from_source(source: K) -> Self {
        let settings = SessionAffinityLayer::from_source(source);
        Self { settings }.destinations(Destinations::known())
    }

    /// Adds a source, which is asked if no earlier one has a key.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{FromHeaders, PromptCacheKeyLayer, header};
    ///
    /// let layer = PromptCacheKeyLayer::new().or(FromHeaders::new([header::X_SESSION_ID]));
    /// ```
    pub fn or<E: KeyExtractor>(self, fallback: E) -> PromptCacheKeyLayer<Or<K, E>> {
        PromptCacheKeyLayer {
            settings: self.settings.or(fallback),
        }
    }

    /// Adds a closure, which is called if no earlier source has a key.
    pub fn or_fn<F>(self, fallback: F) -> PromptCacheKeyLayer<Or<K, FromFn<F>>>
    where
        F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
    {
        PromptCacheKeyLayer {
            settings: self.settings.or_fn(fallback),
        }
    }

    /// Adopts the session that a caller names in one of these headers, and removes the headers.
    ///
    /// If a [`SessionAffinityLayer`] inside this layer needs the headers, read them with [`FromHeaders`] here,
    /// and let that layer adopt them.
    pub fn adopt(
        self,
        names: impl IntoIterator<Item = HeaderName>,
    ) -> PromptCacheKeyLayer<Or<K, FromHeaders>> {
        PromptCacheKeyLayer {
            settings: self.settings.adopt(names),
        }
    }

    /// Sends each provider of this table the body field that it reads.
    ///
    /// The first row that matches the request decides. If it does not name a field, nothing is sent. So one
    /// table serves this layer and a [`SessionAffinityLayer`].
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{Destination, Destinations, PromptCacheKeyLayer};
    ///
    /// let openrouter = Destination::body_field("openrouter.ai", "session_id")?.max_len(256)?;
    /// let layer = PromptCacheKeyLayer::new().destinations(Destinations::known().with(openrouter));
    /// # Ok::<_, tower_session_affinity::InvalidDestination>(())
    /// ```
    pub fn destinations(mut self, destinations: Destinations) -> Self {
        // Not by the header layer's own setting, which also removes the headers of the table.
        let settings = &mut self.settings.stamp.settings;
        settings.special_mut().destinations = Some(destinations);
        self
    }

    /// Calls this closure once for each request, with the outcome and the head that is sent.
    ///
    /// If the body decides, the closure is called at the body's end, with a copy of the head.
    pub fn on_outcome<F>(self, hook: F) -> Self
    where
        F: Fn(Outcome, RequestHead<'_>) + Send + Sync + 'static,
    {
        Self {
            settings: self.settings.on_outcome(hook),
        }
    }

    /// Emits a warning for each request without a key ([`Outcome::NoKey`]), with the feature `tracing`.
    pub fn expect_key(self) -> Self {
        Self {
            settings: self.settings.expect_key(),
        }
    }
}

#[cfg(feature = "hmac")]
impl<K> PromptCacheKeyLayer<K> {
    /// Sends a key that is derived from the raw value and the host that it goes to.
    ///
    /// It is the key that [`SessionAffinityLayer::derive_per_host`] sends in a header. It has 36 bytes, so it
    /// fits every documented limit.
    pub fn derive_per_host(self, secret: AffinitySecret) -> Self {
        Self {
            settings: self.settings.derive_per_host(secret),
        }
    }

    /// Sends a key that is derived from the raw value and this label of the destination.
    ///
    /// It is the key that [`SessionAffinityLayer::derive_for`] sends in a header.
    pub fn derive_for(self, secret: AffinitySecret, label: &str) -> Self {
        Self {
            settings: self.settings.derive_for(secret, label),
        }
    }

    /// [`adopt`](Self::adopt)s the session that a caller names, and sends a key that is derived from it.
    ///
    /// It is the key that [`SessionAffinityLayer::adopt_derived`] sends in a header.
    pub fn adopt_derived(
        self,
        names: impl IntoIterator<Item = HeaderName>,
        secret: AffinitySecret,
    ) -> PromptCacheKeyLayer<Or<K, DerivedFromHeaders>> {
        PromptCacheKeyLayer {
            settings: self.settings.adopt_derived(names, secret),
        }
    }
}

impl Default for PromptCacheKeyLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S, K: Clone> Layer<S> for PromptCacheKeyLayer<K> {
    type Service = PromptCacheKey<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        PromptCacheKey {
            inner,
            stamp: self.settings.stamp.clone(),
        }
    }
}

//! The layer that writes into bodies, and its settings.

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
/// It is what [`SessionAffinityLayer`] is for providers that read a header: the key comes from the same
/// sources by the same rules. Only the [`Destinations`] whose row names a body field get it, by default the
/// [known](Destinations::known) ones: `api.openai.com`, `api.x.ai` and `api.mistral.ai`, at the paths that
/// read `prompt_cache_key`.
///
/// # What becomes of a body
///
/// It streams, and nothing is collected or written anew, since another order of keys or other digits would
/// change the very prompt that is to be cached. The member is written before the closing brace, and
/// every other byte stays as it is and in its place. A field that is there already stays, also if it is
/// `null`: the caller's value wins.
///
/// Whether it is there is known only at the end, when the length has long been announced. So the
/// body grows by the same number of bytes in any case: where the member is not written, spaces are,
/// behind the end. `content-length` is corrected where there is one, and added to no request.
///
/// A body passes untouched where its head says that it must, and the [`Outcome`] says why:
///
/// | | outcome |
/// |---|---|
/// | the host or the path is not listed, or its row does not name a field | [`HostNotAllowed`](Outcome::HostNotAllowed), [`FieldNotRead`](Outcome::FieldNotRead) |
/// | the URI does not have an authority | [`NoAuthority`](Outcome::NoAuthority) |
/// | [`NoAffinity`](crate::NoAffinity) in the extensions (a field of the caller's stays) | [`Suppressed`](Outcome::Suppressed) |
/// | not `application/json`, `text/json` or `…+json`; a `charset` other than UTF-8; no body | [`NotJson`](Outcome::NotJson) |
/// | a `content-encoding`, or a length that cannot be read | [`Encoded`](Outcome::Encoded) |
/// | signed: `authorization: AWS4-…` or an HMAC of another vendor, `x-amz-content-sha256` and its like, `content-digest`, `digest`, `content-md5`, `signature`, `signature-input` | [`Signed`](Outcome::Signed) |
/// | no key, only invalid ones, or one that is longer than the row takes (64 bytes at OpenAI) | [`NoKey`](Outcome::NoKey), [`InvalidKey`](Outcome::InvalidKey), [`TooLong`](Outcome::TooLong) |
///
/// Else the end of the body decides between [`Stamped`](Outcome::Stamped), [`Kept`](Outcome::Kept) (the
/// field is there, or a name with an escape, which is not decoded) and
/// [`NotAnObject`](Outcome::NotAnObject). A body that fails, or is dropped before its end, has no outcome.
///
/// # Where it goes in a stack
///
/// Inside whatever changes the host, such as redirects. Outside the [`SessionAffinityLayer`], if that
/// takes headers out that name the session. The inner service's requests have a
/// [`FieldBody`](crate::FieldBody) around the caller's body; a service of reqwest keeps its own body type.
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
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it wraps a service"]
pub struct PromptCacheKeyLayer<K = FromExtension> {
    /// The same settings, read for a body.
    pub(super) settings: SessionAffinityLayer<K>,
}

impl PromptCacheKeyLayer {
    /// Takes the key from the request's extensions, and sends it to the [known](Destinations::known)
    /// destinations that read a body field.
    pub fn new() -> Self {
        Self::from_source(FromExtension)
    }
}

impl<K> PromptCacheKeyLayer<K> {
    /// Takes the key from this source, and not from the request's extensions.
    pub fn from_source(source: K) -> Self {
        let settings = SessionAffinityLayer::from_source(source);
        Self { settings }.destinations(Destinations::known())
    }

    /// Asks this source where no earlier one has a key.
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

    /// Asks this closure where no earlier source has a key.
    pub fn or_fn<F>(self, fallback: F) -> PromptCacheKeyLayer<Or<K, FromFn<F>>>
    where
        F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
    {
        PromptCacheKeyLayer {
            settings: self.settings.or_fn(fallback),
        }
    }

    /// Adopts the session that a caller names in one of these headers, and takes the headers out.
    ///
    /// Where a [`SessionAffinityLayer`] inside of this one is to find the headers, read them with
    /// [`FromHeaders`] here, and let that layer adopt them.
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
    /// The first row that matches the request decides. Where a row does not name a field nothing is
    /// sent, so one table serves this layer and a [`SessionAffinityLayer`].
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
        // Not by the setting of its own, which also takes out the headers of the table.
        let settings = &mut self.settings.stamp.settings;
        settings.special_mut().destinations = Some(destinations);
        self
    }

    /// Calls this closure once for each request, with what the layer did and the head that is sent.
    ///
    /// Where the body decides it is called at the body's end, with a copy of the head.
    pub fn on_outcome<F>(self, hook: F) -> Self
    where
        F: Fn(Outcome, RequestHead<'_>) + Send + Sync + 'static,
    {
        Self {
            settings: self.settings.on_outcome(hook),
        }
    }

    /// Says that every request should have a key: [`Outcome::NoKey`] becomes a warning (feature `tracing`).
    pub fn expect_key(self) -> Self {
        Self {
            settings: self.settings.expect_key(),
        }
    }
}

#[cfg(feature = "hmac")]
impl<K> PromptCacheKeyLayer<K> {
    /// Sends a key that is derived from the raw value and the host that it goes to, the same as
    /// [`SessionAffinityLayer::derive_per_host`] sends in a header.
    ///
    /// It has 36 bytes, so it fits wherever a limit is known.
    pub fn derive_per_host(self, secret: AffinitySecret) -> Self {
        Self {
            settings: self.settings.derive_per_host(secret),
        }
    }

    /// Sends a key that is derived from the raw value and this label of the destination, the same as
    /// [`SessionAffinityLayer::derive_for`] sends in a header.
    pub fn derive_for(self, secret: AffinitySecret, label: &str) -> Self {
        Self {
            settings: self.settings.derive_for(secret, label),
        }
    }

    /// [`adopt`](Self::adopt)s the session that a caller names, and sends a key that is derived from it, the
    /// same as [`SessionAffinityLayer::adopt_derived`] sends in a header.
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

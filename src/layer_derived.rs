//! The settings of the layer that need a secret.

use http::HeaderName;

use crate::derived::Derivation;
use crate::{AffinitySecret, DerivedFromHeaders, FromHeaders, Or, SessionAffinityLayer};

impl<K> SessionAffinityLayer<K> {
    /// Sends a key that is derived from the raw value and the host that it goes to.
    ///
    /// Each provider then sees a different key for the same session, and without the secret nobody can link
    /// two of them. At one host the key is stable: the case of the host's name, one trailing dot and the port
    /// are ignored. Needs the feature `hmac`.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{Extensions, HeaderMap, Method, Uri};
    /// use tower_session_affinity::{AffinityKey, AffinitySecret, SessionAffinityLayer};
    ///
    /// let secret = AffinitySecret::new(&[7; 32])?;
    /// let layer = SessionAffinityLayer::new()
    ///     .or(AffinityKey::from_static("alice@example.com"))
    ///     .derive_per_host(secret);
    ///
    /// let sent_to = |uri| {
    ///     let mut headers = HeaderMap::new();
    ///     layer.stamp(&Method::POST, &Uri::from_static(uri), &mut headers, &Extensions::new());
    ///     headers.remove("x-session-affinity")
    /// };
    /// let at_fireworks = sent_to("https://api.fireworks.ai/inference/v1").expect("a key");
    /// assert_eq!(at_fireworks, "e8a093f6-31cf-8363-afe9-e033cc059377");
    /// assert_ne!(sent_to("https://api.cloudflare.com/client/v4"), Some(at_fireworks));
    /// assert_eq!(sent_to("/inference/v1"), None);
    /// # Ok::<_, tower_session_affinity::InvalidAffinitySecret>(())
    /// ```
    ///
    /// The raw value is never sent. Under [`MergePolicy::Keep`](crate::MergePolicy::Keep) a caller's header is
    /// the raw value, whatever its bytes, even if it is a derived key. So two layers derive twice, and so does
    /// a second [`stamp`](Self::stamp) of the same headers. Under
    /// [`MergePolicy::Replace`](crate::MergePolicy::Replace) a second `stamp` starts from the source's key
    /// again.
    ///
    /// Put the layer inside whatever adds or changes the host, such as redirects: a request whose URI has no
    /// host is sent without the header. If that is not possible, use [`derive_for`](Self::derive_for). If a
    /// derivation is set twice, the last one applies.
    ///
    /// Use it on clients. On an HTTP/1.1 server a request has no authority, so no key is sent. Over HTTP/2, and
    /// with a URI in absolute form, the *caller* chooses the host, and so which key is derived.
    ///
    /// The format is [documented byte by byte](crate::AffinitySecret#format).
    pub fn derive_per_host(mut self, secret: AffinitySecret) -> Self {
        self.stamp.settings.special_mut().derivation = Some(Derivation::per_host(secret));
        self
    }

    /// Sends a key that is derived from the raw value and this label of the destination.
    ///
    /// Use it instead of [`derive_per_host`](Self::derive_per_host) if the stack adds the host below the layer:
    /// the label says where the requests go, so a request without an authority gets a key, too. The label is
    /// used unchanged. A host's name in lower case gives the same keys as `derive_per_host` at that host. Needs
    /// the feature `hmac`.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{Extensions, HeaderMap, Method, Uri};
    /// use tower_session_affinity::{AffinityKey, AffinitySecret, SessionAffinityLayer};
    ///
    /// let secret = AffinitySecret::new(&[7; 32])?;
    /// let layer = SessionAffinityLayer::new()
    ///     .or(AffinityKey::from_static("alice@example.com"))
    ///     .derive_for(secret, "api.fireworks.ai");
    ///
    /// let mut headers = HeaderMap::new();
    /// let path = Uri::from_static("/inference/v1");
    /// layer.stamp(&Method::POST, &path, &mut headers, &Extensions::new());
    /// assert_eq!(headers["x-session-affinity"], "e8a093f6-31cf-8363-afe9-e033cc059377");
    /// # Ok::<_, tower_session_affinity::InvalidAffinitySecret>(())
    /// ```
    pub fn derive_for(mut self, secret: AffinitySecret, label: &str) -> Self {
        self.stamp.settings.special_mut().derivation = Some(Derivation::for_label(secret, label));
        self
    }

    /// [`adopt`](Self::adopt)s the session that a caller names, and sends a key that is derived from it.
    ///
    /// The key is [`secret.key_for`](AffinitySecret::key_for) of the first value that is not blank, without
    /// the spaces and tabs at both ends. Any value makes a valid key, even one with a space, a comma or 300
    /// bytes. No raw value of these headers is sent, not even under the name that carries the key. Needs the
    /// feature `hmac`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{AffinitySecret, SessionAffinityLayer, header};
    ///
    /// let secret = AffinitySecret::new(&[7; 32])?;
    /// let layer = SessionAffinityLayer::new().adopt_derived(header::CALLER_SESSIONS, secret.clone());
    ///
    /// let request = http::Request::post("/").header("x-session-id", "alice@example.com, 7");
    /// let (mut parts, ()) = request.body(())?.into_parts();
    /// layer.stamp(&parts.method, &parts.uri, &mut parts.headers, &parts.extensions);
    /// let expected = secret.key_for(["alice@example.com, 7"]);
    /// assert_eq!(parts.headers["x-session-affinity"], expected.as_str());
    /// assert_eq!(parts.headers.len(), 1);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// An id such as an e-mail address stays private that way, but callers are not kept apart: two that name
    /// the same session share a key. To keep them apart, derive the key from the tenant and the session in a
    /// closure: `secret.key_for([tenant, session])`.
    pub fn adopt_derived(
        mut self,
        names: impl IntoIterator<Item = HeaderName>,
        secret: AffinitySecret,
    ) -> SessionAffinityLayer<Or<K, DerivedFromHeaders>> {
        let names: Vec<_> = names.into_iter().collect();
        let special = self.stamp.settings.special_mut();
        special.stripped.extend(names.iter().cloned());
        special.never_kept.extend(names.iter().cloned());
        self.or(FromHeaders::new(names).derived(secret))
    }
}

//! Where an affinity key comes from.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::merge::is_blank;
use crate::{AffinityKey, RequestHead};

/// A source of affinity keys: it reads a request's head and may return a key.
///
/// The provided sources are [`FromExtension`], [`FromHeaders`], [`FromCookie`](crate::FromCookie),
/// [`FromFn`], [`FromParent`](crate::FromParent) and a fixed [`AffinityKey`]. [`Or`] chains two sources, and
/// an `Option`, `Arc` or `Box` of a source is a source, too.
///
/// # Examples
///
/// ```
/// use http::Request;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_session_affinity::{AffinityKey, KeyExtractor, RequestHead, SessionAffinityLayer};
///
/// /// One key for each document: the last segment of the path.
/// #[derive(Clone)] // the layer clones its source into the service
/// struct FromPath;
///
/// impl KeyExtractor for FromPath {
///     fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
///         head.uri().path().rsplit('/').next()?.parse().ok()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = service_fn(async |request: Request<()>| Ok::<_, http::Error>(request));
/// let layer = SessionAffinityLayer::new().or(FromPath);
/// let client = ServiceBuilder::new().layer(layer).service(client);
///
/// let request = Request::get("https://api.example/documents/d-17").body(())?;
/// let received = client.oneshot(request).await?;
/// assert_eq!(received.headers()["x-session-affinity"], "d-17");
/// # Ok(())
/// # }
/// ```
///
/// The trait is dyn-compatible. To choose a source at run time, use an
/// `Arc<dyn KeyExtractor + Send + Sync>`, which a layer can clone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of affinity keys",
    label = "expected a `KeyExtractor`",
    note = "a closure: write `.or_fn(|req| …)`, or wrap it as `from_fn(|req| …)`",
    note = "a fixed key: write `AffinityKey::from_static(\"…\")`, or `AffinityKey::try_from(…)?`",
    note = "an inbound header: write `FromHeaders::new([header::X_SESSION_ID])`"
)]
pub trait KeyExtractor {
    /// Returns the key of this request, or `None` to ask the next source.
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey>;

    /// Returns whether this source has a value that is not a valid key; `false` by default.
    ///
    /// It is called only if no source had a key. `true` makes the outcome
    /// [`InvalidKey`](crate::Outcome::InvalidKey) instead of [`NoKey`](crate::Outcome::NoKey). Of the provided
    /// sources, [`FromHeaders`] and [`FromCookie`](crate::FromCookie) look for such a value. A closure does not.
    fn has_invalid_key(&self, head: RequestHead<'_>) -> bool {
        let _ = head;
        false
    }
}

/// Takes the [`AffinityKey`] from the request's extensions.
///
/// [`SessionAffinityLayer::new`](crate::SessionAffinityLayer::new) starts with this source, so a key in the
/// extensions comes before every other source.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, FromExtension, KeyExtractor};
///
/// let key = AffinityKey::from_static("chat-7");
/// let request = http::Request::get("/").extension(key.clone()).body(())?;
/// assert_eq!(FromExtension.extract((&request).into()), Some(key));
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct FromExtension;

/// Marks a request, in its extensions, as one that is sent without a key.
///
/// Use it for the side calls of a conversation, such as a title or a summary. Their prompt has a different
/// prefix, so they should neither share nor warm the conversation's replica. The marker overrides every
/// source of keys and the caller's own header.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, NoAffinity, Outcome, SessionAffinityLayer};
///
/// let layer = SessionAffinityLayer::new().or(AffinityKey::from_static("chat-7"));
/// let request = http::Request::post("/title").extension(NoAffinity).body(())?;
/// let (mut title, ()) = request.into_parts();
///
/// let outcome = layer.stamp(&title.method, &title.uri, &mut title.headers, &title.extensions);
/// assert_eq!(outcome, Outcome::Suppressed);
/// assert!(title.headers.is_empty());
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoAffinity;

/// Takes the key from a closure; made by [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFn<F>(F);

/// Takes the first valid value among several headers of the request.
///
/// A server reads the session that its caller names this way. The names are tried in order, and the values
/// of each name in order. A value that is not a valid [`AffinityKey`] is skipped.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, FromHeaders, KeyExtractor, header};
///
/// let sessions = FromHeaders::new([header::X_SESSION_ID, header::X_CLAUDE_CODE_SESSION_ID]);
/// let request = http::Request::get("/")
///     .header("x-session-id", "not, one key")
///     .header("x-claude-code-session-id", "5f0e9c1a")
///     .body(())?;
/// assert_eq!(sessions.extract((&request).into()), Some(AffinityKey::from_static("5f0e9c1a")));
/// # Ok::<_, http::Error>(())
/// ```
///
/// The headers stay in the request; a gateway that forwards requests removes them with
/// [`SessionAffinityLayer::adopt`](crate::SessionAffinityLayer::adopt). The key shares the header's bytes;
/// copy a key that outlives its request with [`AffinityKey::into_owned`].
#[derive(Clone, Debug)]
pub struct FromHeaders(Arc<[HeaderName]>);

/// Takes the key of the first source, or else of the second.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, FromExtension, KeyExtractor, Or};
///
/// let source = Or::new(FromExtension, AffinityKey::from_static("fallback"));
/// let request = http::Request::get("/").body(())?;
/// assert_eq!(source.extract((&request).into()), Some(AffinityKey::from_static("fallback")));
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Or<A, B> {
    first: A,
    second: B,
}

/// Makes a source of keys from a closure.
///
/// On a layer, [`SessionAffinityLayer::or_fn`](crate::SessionAffinityLayer::or_fn) is shorter. The closure must
/// be `Fn`: services are cloned, and each clone of an `FnMut` would have its own state.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, KeyExtractor, from_fn};
///
/// let by_user = from_fn(|req| req.key("x-user-id"));
/// let request = http::Request::get("/").header("x-user-id", "u-42").body(())?;
/// assert_eq!(by_user.extract((&request).into()), Some(AffinityKey::from_static("u-42")));
/// # Ok::<_, http::Error>(())
/// ```
pub const fn from_fn<F>(f: F) -> FromFn<F>
where
    // The bound is on the constructor, so that an unannotated closure infers its argument.
    F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
{
    FromFn(f)
}

impl FromHeaders {
    /// Makes a source that reads these headers, in this order.
    pub fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Returns all values, in the order in which they are tried.
    pub(crate) fn values<'a>(
        &self,
        head: RequestHead<'a>,
    ) -> impl Iterator<Item = &'a HeaderValue> {
        let names = self.0.iter();
        names.flat_map(move |name| head.headers().get_all(name))
    }
}

impl<A, B> Or<A, B> {
    /// Makes a source that asks `second` if `first` has no key.
    pub const fn new(first: A, second: B) -> Self {
        Self { first, second }
    }
}

impl KeyExtractor for FromExtension {
    #[inline]
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        head.extensions().get::<AffinityKey>().cloned()
    }
}

/// Uses the same key for every request.
///
/// Use it on a client that serves one conversation. On a shared client it sends everyone to one replica.
///
/// The clones of a key that was made at run time share one atomic reference count. It is contended if cores
/// do nothing but set the header: with two cores, setting it took 69 ns instead of 57 ns, and 151 ns in one
/// run of five (`cargo bench --bench concurrency`, November 2026). If that matters, make the key again for
/// each worker. A key made by [`from_static`](AffinityKey::from_static) has no count and took 48 to 49 ns.
impl KeyExtractor for AffinityKey {
    #[inline]
    fn extract(&self, _: RequestHead<'_>) -> Option<AffinityKey> {
        Some(self.clone())
    }
}

impl<F> KeyExtractor for FromFn<F>
where
    F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
{
    #[inline]
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        (self.0)(head)
    }
}

impl KeyExtractor for FromHeaders {
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        self.0.iter().find_map(|name| head.key_of(name))
    }

    /// A value that is not blank was meant to be a key.
    fn has_invalid_key(&self, head: RequestHead<'_>) -> bool {
        self.values(head)
            .any(|value| !is_blank(value) && AffinityKey::sharing(value).is_none())
    }
}

impl<A: KeyExtractor, B: KeyExtractor> KeyExtractor for Or<A, B> {
    #[expect(
        clippy::inline_always,
        reason = "a chain of sources is one function only if each is inlined"
    )]
    #[inline(always)]
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        self.first
            .extract(head)
            .or_else(|| self.second.extract(head))
    }

    fn has_invalid_key(&self, head: RequestHead<'_>) -> bool {
        self.first.has_invalid_key(head) || self.second.has_invalid_key(head)
    }
}

/// `None` has no key.
impl<E: KeyExtractor> KeyExtractor for Option<E> {
    #[inline]
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        self.as_ref()?.extract(head)
    }

    fn has_invalid_key(&self, head: RequestHead<'_>) -> bool {
        self.as_ref()
            .is_some_and(|source| source.has_invalid_key(head))
    }
}

impl<E: KeyExtractor + ?Sized> KeyExtractor for Arc<E> {
    #[inline]
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        (**self).extract(head)
    }

    fn has_invalid_key(&self, head: RequestHead<'_>) -> bool {
        (**self).has_invalid_key(head)
    }
}

/// For a layer use an `Arc` instead: a layer clones its source, and a `Box<dyn KeyExtractor>` is not `Clone`.
impl<E: KeyExtractor + ?Sized> KeyExtractor for Box<E> {
    #[inline]
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        (**self).extract(head)
    }

    fn has_invalid_key(&self, head: RequestHead<'_>) -> bool {
        (**self).has_invalid_key(head)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromFn").finish_non_exhaustive()
    }
}

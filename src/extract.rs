//! Where an affinity key comes from.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;

use crate::{AffinityKey, RequestHead};

/// A source of affinity keys: a request's head in, perhaps a key out.
///
/// The provided sources are [`FromExtension`], [`FromHeaders`], [`FromFn`] and a fixed
/// [`AffinityKey`]; [`Or`], `Option` and `Arc` combine them. The trait is dyn-compatible, so an
/// `Arc<dyn KeyExtractor + Send + Sync>` is a source that is chosen at run time.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, KeyExtractor, RequestHead};
///
/// /// One key for each document: the last segment of the path.
/// struct FromPath;
///
/// impl KeyExtractor for FromPath {
///     fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
///         head.uri().path().rsplit('/').next()?.parse().ok()
///     }
/// }
///
/// let request = http::Request::get("/documents/d-17").body(())?;
/// let key = FromPath.extract(RequestHead::from(&request));
/// assert_eq!(key, Some(AffinityKey::from_static("d-17")));
/// # Ok::<_, http::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of affinity keys",
    label = "expected a `KeyExtractor`",
    note = "a closure: write `.or_fn(|req| …)`, or wrap it as `from_fn(|req| …)`",
    note = "a fixed key: write `AffinityKey::from_static(\"…\")`, or `AffinityKey::try_from(…)?`",
    note = "an inbound header: write `FromHeaders::new([header::X_SESSION_ID])`"
)]
pub trait KeyExtractor {
    /// Returns the key of this request, or `None` to let the next source be asked.
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey>;
}

/// Takes the [`AffinityKey`] in the request's extensions.
///
/// Every [`SessionAffinityLayer`](crate::SessionAffinityLayer) begins with it: the most specific
/// source wins.
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

/// Marks a request, in its extensions, as one that leaves without any affinity header.
///
/// It is for the side calls of a conversation, such as a title or a summary: their prompt has another
/// prefix and must not share, or warm, the conversation's replica. It outranks every source of keys,
/// and the caller's header too.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, NoAffinity, Outcome, SessionAffinityLayer};
///
/// let layer = SessionAffinityLayer::new().or(AffinityKey::from_static("chat-7"));
/// let (mut title, ()) = http::Request::post("/title").extension(NoAffinity).body(())?.into_parts();
///
/// let outcome = layer.stamp(&title.method, &title.uri, &mut title.headers, &title.extensions);
/// assert_eq!(outcome, Outcome::Suppressed);
/// assert!(title.headers.is_empty());
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoAffinity;

/// Takes what a closure returns; made by [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFn<F>(F);

/// Takes the first valid value among several headers of the request.
///
/// This is how a gateway adopts the session that its caller already names. The names are asked in
/// order, and of each name the values in order. A value that is no valid [`AffinityKey`] is passed
/// over.
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
#[derive(Clone, Debug)]
pub struct FromHeaders(Arc<[HeaderName]>);

/// Takes what the first source finds, else what the second does.
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
/// The closure is a `Fn`, since a service is cloned, and with it the state of a `FnMut`.
/// [`SessionAffinityLayer::or_fn`](crate::SessionAffinityLayer::or_fn) is the short form on a layer.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, KeyExtractor, from_fn};
///
/// let by_user = from_fn(|req| req.headers().get("x-user-id")?.try_into().ok());
/// let request = http::Request::get("/").header("x-user-id", "u-42").body(())?;
/// assert_eq!(by_user.extract((&request).into()), Some(AffinityKey::from_static("u-42")));
/// # Ok::<_, http::Error>(())
/// ```
pub const fn from_fn<F>(f: F) -> FromFn<F>
where
    // On the constructor, so that an unannotated closure infers its argument.
    F: Fn(RequestHead<'_>) -> Option<AffinityKey>,
{
    FromFn(f)
}

impl FromHeaders {
    /// Takes the names in the order in which they are asked.
    pub fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self(names.into_iter().collect())
    }
}

impl<A, B> Or<A, B> {
    /// Puts `second` behind `first`.
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

/// The same key for every request.
///
/// It belongs on a client that serves one conversation. On a shared client it sends everybody to one
/// replica.
///
/// The clones of a key that was made at run time share one atomic count of references. It shows where
/// cores do nothing but stamp: with two of them a stamp took 69 ns instead of 57 ns, and 151 ns in one
/// run of five (`cargo bench --bench concurrency`, November 2026). Where that matters, make the key
/// anew for each worker. A key [`from_static`](AffinityKey::from_static) has no count and took 48 to
/// 49 ns.
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
        let mut values = self.0.iter().flat_map(|name| head.headers().get_all(name));
        values.find_map(|value| value.try_into().ok())
    }
}

impl<A: KeyExtractor, B: KeyExtractor> KeyExtractor for Or<A, B> {
    #[inline]
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        self.first
            .extract(head)
            .or_else(|| self.second.extract(head))
    }
}

/// `None` finds no key.
impl<E: KeyExtractor> KeyExtractor for Option<E> {
    #[inline]
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        self.as_ref()?.extract(head)
    }
}

impl<E: KeyExtractor + ?Sized> KeyExtractor for Arc<E> {
    #[inline]
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
        (**self).extract(head)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromFn").finish_non_exhaustive()
    }
}

//! Where an affinity key comes from.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::merge::is_blank;
use crate::{AffinityKey, RequestHead};

/// A source of affinity keys: a request's head in, perhaps a key out.
///
/// The provided sources are [`FromExtension`], [`FromHeaders`], [`FromCookie`](crate::FromCookie),
/// [`FromFn`] and a fixed
/// [`AffinityKey`]; [`Or`], `Option`, `Arc` and `Box` combine them. The trait is dyn-compatible: a source
/// that is chosen at run time is an `Arc<dyn KeyExtractor + Send + Sync>`, which a layer can clone.
///
/// # Examples
///
/// ```
/// use http::Request;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_session_affinity::{AffinityKey, KeyExtractor, RequestHead, SessionAffinityLayer};
///
/// /// One key for each document: the last segment of the path.
/// #[derive(Clone)] // as a layer needs, which clones it into its service
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of affinity keys",
    label = "expected a `KeyExtractor`",
    note = "a closure: write `.or_fn(|req| …)`, or wrap it as `from_fn(|req| …)`",
    note = "a fixed key: write `AffinityKey::from_static(\"…\")`, or `AffinityKey::try_from(…)?`",
    note = "an inbound header: write `FromHeaders::new([header::X_SESSION_ID])`"
)]
pub trait KeyExtractor {
    /// Returns the key of this request, or `None` to let the next source be asked.
    fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey>;

    /// Whether this source has a value that is not a valid key.
    ///
    /// It is asked only where no source had a key, and tells
    /// [`Outcome::InvalidKey`](crate::Outcome::InvalidKey) from
    /// [`Outcome::NoKey`](crate::Outcome::NoKey). Of the provided sources [`FromHeaders`] and
    /// [`FromCookie`](crate::FromCookie) know; a closure cannot say, and counts as having none.
    fn has_invalid_key(&self, head: RequestHead<'_>) -> bool {
        let _ = head;
        false
    }
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

/// Marks a request, in its extensions, as one that is sent without a key.
///
/// It is for the side calls of a conversation, such as a title or a summary: their prompt has a different
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
/// This is how a server reads the session that its caller names. The names are asked in order, and of each
/// name the values in order. A value that is not a valid [`AffinityKey`] is passed over. The headers stay
/// in the request; a gateway that passes requests on takes them out with
/// [`SessionAffinityLayer::adopt`](crate::SessionAffinityLayer::adopt).
///
/// The key shares the header's bytes; see [`AffinityKey::into_owned`].
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
/// let by_user = from_fn(|req| req.key("x-user-id"));
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

    /// Returns all values, in the order in which they are asked.
    pub(crate) fn values<'a>(
        &self,
        head: RequestHead<'a>,
    ) -> impl Iterator<Item = &'a HeaderValue> {
        let names = self.0.iter();
        names.flat_map(move |name| head.headers().get_all(name))
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
        self.0.iter().find_map(|name| head.key_of(name))
    }

    /// Where none of the values is a key, one that is not blank was meant to be.
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

/// `None` finds no key.
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

/// A layer is cloned into its service, which a `Box` is not: use an `Arc` there.
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

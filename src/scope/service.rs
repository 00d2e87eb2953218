//! The server service that answers in a scope, and its future.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::context::Scope;
use super::{Scoped, ScopedBody};
use crate::{AffinityKey, FromExtension, KeyExtractor, NoAffinity, ParentKey};

/// Answers each request in the scope of its key.
///
/// Made by [`AffinityScopeLayer`](crate::AffinityScopeLayer). Its readiness and error are the inner
/// service's own. Readiness belongs to no request, so it is polled outside the scope.
#[derive(Clone, Debug)]
pub struct AffinityScope<S, K = FromExtension> {
    inner: S,
    extractor: K,
}

pin_project! {
    /// The future of an [`AffinityScope`]: it and the response's body run in the scope.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ScopedResponseFuture<F> {
        #[pin]
        future: Scoped<F>,
    }
}

impl<S, K> AffinityScope<S, K> {
    pub(super) const fn new(inner: S, extractor: K) -> Self {
        Self { inner, extractor }
    }

    /// Borrows the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Borrows the inner service mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service and forgets the rest.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, K: KeyExtractor> AffinityScope<S, K> {
    /// Returns the scope that a request is answered in.
    fn scope_of<B>(&self, request: &Request<B>) -> Scope {
        let extensions = request.extensions();
        if extensions.get::<NoAffinity>().is_some() {
            return Scope::with_both(None, None);
        }
        let key = self.extractor.extract(request.into());
        let key = key.map(|key| own(key, request.headers()));
        Scope::with_both(key, extensions.get::<ParentKey>().cloned())
    }
}

impl<S, K, B, R> Service<Request<B>> for AffinityScope<S, K>
where
    S: Service<Request<B>, Response = Response<R>>,
    K: KeyExtractor,
{
    type Response = Response<ScopedBody<R>>;
    type Error = S::Error;
    type Future = ScopedResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut scope = self.scope_of(&request);
        let future = {
            // A service may do its work here and return a future that is done.
            let _entered = scope.enter();
            self.inner.call(request)
        };
        ScopedResponseFuture {
            future: Scoped::within(scope, future),
        }
    }
}

impl<F, R, E> Future for ScopedResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ScopedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = self.project().future;
        let response = ready!(future.as_mut().poll(cx))?;
        let scope = future.take_scope();
        Poll::Ready(Ok(response.map(|body| ScopedBody::new(scope, body))))
    }
}

/// Copies a key that is a slice of one of these headers.
///
/// hyper's header values are slices of a read buffer of 8 KiB, and what keeps a key, for as long as a
/// stream lasts or in a map of its own, would keep the buffer. A key of a different origin is taken as
/// it is.
fn own(key: AffinityKey, headers: &HeaderMap) -> AffinityKey {
    let start = key.as_header_value().as_bytes().as_ptr();
    let is_slice_of = |bytes: &[u8]| bytes.as_ptr_range().contains(&start);
    if headers.values().any(|value| is_slice_of(value.as_bytes())) {
        key.into_owned()
    } else {
        key
    }
}

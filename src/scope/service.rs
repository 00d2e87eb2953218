//! The server service that answers in a scope, and its future.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{CURRENT, Scoped, ScopedBody};
use crate::{AffinityKey, FromExtension, KeyExtractor, NoAffinity};

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
    /// Finds the key of a request and leaves it in the extensions.
    fn adopt<B>(&self, request: &mut Request<B>) -> Option<AffinityKey> {
        if request.extensions().get::<NoAffinity>().is_some() {
            return None;
        }
        let key = self.extractor.extract((&*request).into())?;
        request.extensions_mut().insert(key.clone());
        Some(key)
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let key = self.adopt(&mut request);
        // A service may do its work here and return a future that is done.
        let future = CURRENT.sync_scope(key.clone(), || self.inner.call(request));
        ScopedResponseFuture {
            future: Scoped::new(key, future),
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
        let key = future.take_key();
        Poll::Ready(Ok(response.map(|body| ScopedBody::new(key, body))))
    }
}

//! The server service that handles requests in a scope, and its future.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::context::Scope;
use super::{Scoped, ScopedBody};
use crate::{AffinityKey, FromExtension, KeyExtractor, NoAffinity, ParentKey};

/// Handles each request in the scope of its key.
///
/// [`AffinityScopeLayer`](crate::AffinityScopeLayer) makes it. Its readiness and error are the inner service's
/// own. Readiness does not belong to a request, so it is polled outside the scope.
#[derive(Clone, Debug)]
pub struct AffinityScope<S, K = FromExtension> {
    inner: S,
    extractor: K,
}

pin_project! {
    /// The future of an [`AffinityScope`]: it and the response's body are polled in the scope.
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

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, K: KeyExtractor> AffinityScope<S, K> {
    /// Returns the scope in which a request is handled.
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
            // A service may do its work here and return a completed future.
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

/// Copies a key that is a slice of one of these headers, and returns any other key unchanged.
///
/// hyper's header values are slices of a read buffer of 8 KiB. Without a copy, a key would keep that buffer
/// alive, while a stream lasts or in a handler's own map.
fn own(key: AffinityKey, headers: &HeaderMap) -> AffinityKey {
    let start = key.as_header_value().as_bytes().as_ptr();
    let is_slice_of = |bytes: &[u8]| bytes.as_ptr_range().contains(&start);
    if headers.values().any(|value| is_slice_of(value.as_bytes())) {
        key.into_owned()
    } else {
        key
    }
}

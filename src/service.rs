//! The service that a layer makes.

use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use crate::stamp::Stamp;
use crate::{FromExtension, KeyExtractor};

/// Sets the header on each request and passes the request to the inner service.
///
/// [`SessionAffinityLayer`](crate::SessionAffinityLayer) makes it. Its readiness, response, error and future
/// are the inner service's own.
#[derive(Clone, Debug)]
pub struct SessionAffinity<S, K = FromExtension> {
    pub(crate) inner: S,
    pub(crate) stamp: Stamp<K>,
}

impl<S, K> SessionAffinity<S, K> {
    pub(crate) const fn new(inner: S, stamp: Stamp<K>) -> Self {
        Self { inner, stamp }
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

impl<S, K, B> Service<Request<B>> for SessionAffinity<S, K>
where
    S: Service<Request<B>>,
    K: KeyExtractor,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.stamp.stamp(&mut request);
        self.inner.call(request)
    }
}

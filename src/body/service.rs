//! The service that sends the key in a body field.

use std::task::{Context, Poll};

use http::Request;
use http_body::Body;
use tower_service::Service;

use super::FieldBody;
use crate::stamp::Stamp;
use crate::{FromExtension, KeyExtractor};

/// Wraps each request's body in a [`FieldBody`], which writes the session's key into it.
///
/// [`PromptCacheKeyLayer`](crate::PromptCacheKeyLayer) makes it. Its readiness, response, error and future are
/// the inner service's own.
#[derive(Clone, Debug)]
pub struct PromptCacheKey<S, K = FromExtension> {
    pub(super) inner: S,
    pub(super) stamp: Stamp<K>,
}

impl<S, K> PromptCacheKey<S, K> {
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

impl<S, K, B> Service<Request<B>> for PromptCacheKey<S, K>
where
    S: Service<Request<FieldBody<B>>>,
    K: KeyExtractor,
    B: Body,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.inner.call(self.stamp.wrap(request))
    }
}

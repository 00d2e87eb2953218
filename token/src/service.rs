//! The service that the layer produces.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;
use tower_session_affinity::{FromExtension, KeyExtractor};

use crate::exchange::{Exchange, Shared};
use crate::store::DefaultStore;
use crate::{ResponseFuture, TokenStore};

/// Sends each request with the token of its session, and remembers the token in the response.
///
/// Produced by [`AffinityTokenLayer`](crate::AffinityTokenLayer). Its readiness, response and error are
/// those of the inner service.
#[derive(Debug)]
pub struct AffinityToken<S, K = FromExtension, St = DefaultStore> {
    inner: S,
    extractor: K,
    shared: Arc<Shared<St>>,
}

impl<S, K, St> AffinityToken<S, K, St> {
    pub(crate) const fn new(inner: S, extractor: K, shared: Arc<Shared<St>>) -> Self {
        Self {
            inner,
            extractor,
            shared,
        }
    }

    /// Borrows the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Borrows the inner service mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service and drops the rest.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

// A derived impl would require `St: Clone`.
impl<S: Clone, K: Clone, St> Clone for AffinityToken<S, K, St> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.extractor.clone(),
            self.shared.clone(),
        )
    }
}

impl<S, K, St, B, R> Service<Request<B>> for AffinityToken<S, K, St>
where
    S: Service<Request<B>, Response = Response<R>>,
    K: KeyExtractor,
    St: TokenStore,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, St>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let exchange = Exchange::begin(&self.shared, &self.extractor, &mut request);
        ResponseFuture::new(self.inner.call(request), exchange)
    }
}

//! The future that a service returns.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use crate::TokenStore;
use crate::exchange::Exchange;

pin_project! {
    /// Resolves to the inner service's response, and remembers the token in it.
    ///
    /// Returned by [`AffinityToken`](crate::AffinityToken). If it is dropped after its first poll and before
    /// the response, that counts as a failure of its token ([`Ending::Dropped`](crate::Ending::Dropped)).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, St>
    where
        St: TokenStore,
    {
        #[pin]
        inner: F,
        exchange: Option<Exchange<St>>,
    }
}

impl<F, St: TokenStore> ResponseFuture<F, St> {
    pub(crate) const fn new(inner: F, exchange: Option<Exchange<St>>) -> Self {
        Self { inner, exchange }
    }
}

impl<F, St, R, E> Future for ResponseFuture<F, St>
where
    F: Future<Output = Result<Response<R>, E>>,
    St: TokenStore,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(exchange) = this.exchange {
            exchange.poll();
        }
        let result = ready!(this.inner.poll(cx));
        if let Some(exchange) = this.exchange.take() {
            exchange.end(&result);
        }
        Poll::Ready(result)
    }
}

//! The future of a response.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use crate::TokenStore;
use crate::exchange::Exchange;

pin_project! {
    /// Waits for the inner service's response and remembers the token that it brings.
    ///
    /// Made by [`AffinityToken`](crate::AffinityToken). Dropped before its end, it remembers and
    /// forgets nothing.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, St> {
        #[pin]
        inner: F,
        exchange: Option<Exchange<St>>,
    }
}

impl<F, St> ResponseFuture<F, St> {
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
        let response = ready!(this.inner.poll(cx))?;
        if let Some(exchange) = this.exchange.take() {
            exchange.end(&response);
        }
        Poll::Ready(Ok(response))
    }
}

//! The response body that is polled in the scope of its request.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::context::Scope;
use super::future::InScope;

pin_project! {
    /// A response body that is polled, and dropped, in the scope of the request's key.
    ///
    /// [`AffinityScope`](crate::AffinityScope) makes it. Frames, trailers and hints are the inner body's own.
    #[derive(Debug)]
    pub struct ScopedBody<B> {
        // Without an inner body, it is empty.
        #[pin]
        body: InScope<B>,
    }
}

impl<B> ScopedBody<B> {
    pub(super) const fn new(scope: Scope, body: B) -> Self {
        Self {
            body: InScope::new(scope, Some(body)),
        }
    }
}

/// Makes an empty body, for layers such as a timeout that answer instead of the inner service.
impl<B> Default for ScopedBody<B> {
    fn default() -> Self {
        Self {
            body: InScope::new(Scope::with_both(None, None), None),
        }
    }
}

impl<B: Body> Body for ScopedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let body = self.project().body;
        body.with(|body| body.poll_frame(cx))
            .unwrap_or(Poll::Ready(None))
    }

    fn is_end_stream(&self) -> bool {
        self.body.get_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .get_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

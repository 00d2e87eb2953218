//! The body of a response, which is polled in the scope of its request.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::CURRENT;
use crate::AffinityKey;

pin_project! {
    /// A response body whose frames are made in the scope of the request's key.
    ///
    /// Made by [`AffinityScope`](crate::AffinityScope). Frames, trailers and hints are the inner body's
    /// own.
    #[derive(Debug)]
    pub struct ScopedBody<B> {
        key: Option<AffinityKey>,
        // `None` is an empty body; so is one that is being dropped.
        #[pin]
        body: Option<B>,
    }

    impl<B> PinnedDrop for ScopedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let body = DropInPlace(this.body);
            // A future that is never polled drops what it holds in its scope. It does so without a
            // scope, and without a panic, where the thread's own locals are already gone.
            drop(CURRENT.scope(this.key.take(), async move { drop(body) }));
        }
    }
}

/// Drops a pinned value when it is dropped.
struct DropInPlace<'a, T>(Pin<&'a mut Option<T>>);

impl<B> ScopedBody<B> {
    pub(super) const fn new(key: Option<AffinityKey>, body: B) -> Self {
        Self {
            key,
            body: Some(body),
        }
    }
}

/// An empty body, which layers such as a timeout answer with in the place of the inner service.
impl<B> Default for ScopedBody<B> {
    fn default() -> Self {
        Self {
            key: None,
            body: None,
        }
    }
}

impl<B: Body> Body for ScopedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        match this.body.as_pin_mut() {
            Some(body) => CURRENT.sync_scope(this.key.clone(), || body.poll_frame(cx)),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<T> Drop for DropInPlace<'_, T> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

//! The body that writes a member into an object while it streams.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::edit::Edit;

pin_project! {
    /// A request body that adds one member to its JSON object while it streams, unless the object has it.
    ///
    /// [`PromptCacheKey`](crate::PromptCacheKey) makes it. [`From`] makes one that changes nothing, for a
    /// request that does not come through the layer.
    ///
    /// # Examples
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http_body::Body;
    /// use http_body_util::Full;
    /// use tower_session_affinity::FieldBody;
    ///
    /// let body = FieldBody::from(Full::<Bytes>::from("{}"));
    /// assert_eq!(body.size_hint().exact(), Some(2));
    /// ```
    ///
    /// # Streaming
    ///
    /// Nothing is buffered except the closing brace and the white space after it, until it is known that
    /// nothing else follows. The frames are the inner body's own bytes, which are not copied if they are
    /// [`Bytes`]. Trailers and errors are the inner body's.
    ///
    /// Only the end of the object tells whether it has the member already. So the body always grows by the
    /// same number of bytes: if the member is not written, as many spaces follow the end. This keeps
    /// [`size_hint`](Body::size_hint) exact if the inner body's is exact. An empty body stays empty.
    #[derive(Clone)]
    pub struct FieldBody<B> {
        #[pin]
        inner: B,
        phase: Phase,
        // What is sent before the inner body is polled again.
        ready: Ready,
    }
}

#[derive(Clone)]
enum Phase {
    /// Everything is passed on unchanged.
    Through,
    /// The object is being read.
    Reading(Edit),
    /// The inner body has ended.
    Ended,
}

/// Pieces of data in their order, and after them the trailers, if any.
#[derive(Clone, Default)]
struct Ready {
    pieces: [Bytes; 3],
    trailers: Option<HeaderMap>,
}

impl<B> FieldBody<B> {
    pub(super) fn new(inner: B, edit: Edit) -> Self {
        Self {
            inner,
            phase: Phase::Reading(edit),
            ready: Ready::default(),
        }
    }
}

impl<B> From<B> for FieldBody<B> {
    fn from(inner: B) -> Self {
        Self {
            inner,
            phase: Phase::Through,
            ready: Ready::default(),
        }
    }
}

impl<B: Default> Default for FieldBody<B> {
    fn default() -> Self {
        B::default().into()
    }
}

impl<B: Body> Body for FieldBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        loop {
            if let Some(frame) = this.ready.next() {
                return Poll::Ready(Some(Ok(frame)));
            }
            let given = match this.phase {
                Phase::Ended => return Poll::Ready(None),
                Phase::Through => {
                    let polled = ready!(this.inner.poll_frame(cx));
                    let pass = |frame: Frame<B::Data>| frame.map_data(into_bytes);
                    return Poll::Ready(polled.map(|given| given.map(pass)));
                }
                // The last frame tells that this is the end, so the end is sent without another poll.
                Phase::Reading(_) if this.inner.is_end_stream() => None,
                Phase::Reading(_) => ready!(this.inner.as_mut().poll_frame(cx)),
            };
            match given.transpose() {
                Ok(frame) => this.phase.take(frame, this.ready),
                Err(error) => {
                    *this.phase = Phase::Through;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty()
            && match self.phase {
                Phase::Through => self.inner.is_end_stream(),
                Phase::Reading(_) => false,
                Phase::Ended => true,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let inner = match self.phase {
            Phase::Ended => SizeHint::with_exact(0),
            Phase::Through | Phase::Reading(_) => self.inner.size_hint(),
        };
        let growth = self.ready.len() + self.phase.growth();
        let mut hint = SizeHint::new();
        if inner.lower() > 0 || !self.phase.may_be_empty() {
            hint.set_lower(inner.lower().saturating_add(growth));
        }
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(growth));
        }
        hint
    }
}

impl Phase {
    /// Takes what the inner body gave while the object was read, and prepares what can be sent.
    fn take<D: Buf>(&mut self, given: Option<Frame<D>>, ready: &mut Ready) {
        match given.map(Frame::into_data) {
            Some(Ok(data)) => ready.pieces = self.push(into_bytes(data)),
            end => {
                let [member, tail] = self.end(Self::Ended);
                ready.pieces = [member, tail, Bytes::new()];
                let trailers = end.and_then(Result::err);
                ready.trailers = trailers.and_then(|frame| frame.into_trailers().ok());
            }
        }
    }

    fn push(&mut self, chunk: Bytes) -> [Bytes; 3] {
        let Self::Reading(edit) = self else {
            return [chunk, Bytes::new(), Bytes::new()];
        };
        let [first, second] = edit.push(chunk);
        if !edit.is_full() {
            return [first, second, Bytes::new()];
        }
        let [member, end] = self.end(Self::Through);
        [first, member, end]
    }

    /// Ends the object and returns what remains of it to be sent.
    fn end(&mut self, next: Self) -> [Bytes; 2] {
        match mem::replace(self, next) {
            Self::Reading(edit) => edit.end(),
            Self::Through | Self::Ended => <[Bytes; 2]>::default(),
        }
    }

    /// Returns by how many bytes the output will exceed what the inner body still gives.
    fn growth(&self) -> u64 {
        match self {
            Self::Reading(edit) => edit.growth(),
            Self::Through | Self::Ended => 0,
        }
    }

    fn may_be_empty(&self) -> bool {
        matches!(self, Self::Reading(edit) if !edit.has_begun())
    }
}

impl Ready {
    fn next(&mut self) -> Option<Frame<Bytes>> {
        let piece = self.pieces.iter_mut().find(|piece| !piece.is_empty());
        match piece {
            Some(piece) => Some(Frame::data(mem::take(piece))),
            None => self.trailers.take().map(Frame::trailers),
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0 && self.trailers.is_none()
    }

    fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }
}

/// Takes [`Bytes`] without a copy, and copies any other buffer.
fn into_bytes(mut data: impl Buf) -> Bytes {
    data.copy_to_bytes(data.remaining())
}

/// Shows neither the body nor the member.
impl<B> fmt::Debug for FieldBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldBody").finish_non_exhaustive()
    }
}

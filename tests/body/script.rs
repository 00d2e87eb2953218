//! A body that follows a script.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// What a poll returns.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Error(&'static str),
    /// Pending, once.
    Wait,
}

#[derive(Clone, Debug)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
    /// Whether `is_end_stream` is true at the end.
    knows_its_end: bool,
    knows_its_length: bool,
    has_ended: bool,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            knows_its_end: false,
            knows_its_length: false,
            has_ended: false,
        }
    }

    /// Makes a body of these chunks that knows neither its end nor its length.
    pub(crate) fn of<'a>(chunks: impl IntoIterator<Item = &'a str>) -> Self {
        let chunks = chunks
            .into_iter()
            .map(|chunk| Bytes::copy_from_slice(chunk.as_bytes()));
        Self::new(chunks.map(Step::Data))
    }

    pub(crate) fn knowing_its_end(mut self) -> Self {
        self.knows_its_end = true;
        self
    }

    pub(crate) fn knowing_its_length(mut self) -> Self {
        self.knows_its_length = true;
        self
    }

    fn len(&self) -> u64 {
        let len = |step: &Step| match step {
            Step::Data(data) => data.len() as u64,
            _ => 0,
        };
        self.steps.iter().map(len).sum()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        assert!(!self.has_ended, "polled again after the end");
        Poll::Ready(match self.steps.pop_front() {
            None => {
                self.has_ended = true;
                None
            }
            Some(Step::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Error(error)) => Some(Err(error)),
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.knows_its_length {
            SizeHint::with_exact(self.len())
        } else {
            SizeHint::new()
        }
    }
}

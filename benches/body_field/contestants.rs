//! Who takes part: each sends a body on, and returns how many bytes it had.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use serde_json::Value;
use tower_layer::Layer;
use tower_service::Service;
use tower_session_affinity::{AffinityKey, PromptCacheKey, PromptCacheKeyLayer};

/// As many characters as a UUID has.
const KEY: AffinityKey = AffinityKey::from_static("0193a5f0-7d1c-7b3e-9c55-4f1e2d3c4b5a");

/// Reads bodies to their end.
#[derive(Clone)]
pub(crate) struct Drain;

pub(crate) type Ours = PromptCacheKey<
    Drain,
    tower_session_affinity::Or<tower_session_affinity::FromExtension, AffinityKey>,
>;

/// A body of some pieces.
pub(crate) struct Pieces(VecDeque<Bytes>);

pub(crate) type Chat = Request<Pieces>;

pub(crate) fn request(pieces: &[Bytes]) -> Chat {
    Request::post("https://api.openai.com/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", "Bearer none")
        .body(Pieces(pieces.iter().cloned().collect()))
        .expect("a request")
}

pub(crate) fn layered() -> Ours {
    PromptCacheKeyLayer::new().or(KEY).layer(Drain)
}

pub(crate) fn ours(service: &mut Ours, request: Chat) -> usize {
    length(service.call(request))
}

pub(crate) fn bare(request: Chat) -> usize {
    length(Drain.call(request))
}

/// What one would write by hand: the body is collected, parsed, and written anew.
pub(crate) fn by_serde_json(request: Chat) -> usize {
    let request = request.map(|body| {
        let mut value: Value = serde_json::from_slice(&collect(body)).expect("JSON");
        let members = value.as_object_mut().expect("an object");
        members
            .entry("prompt_cache_key")
            .or_insert_with(|| KEY.as_str().into());
        Full::new(Bytes::from(serde_json::to_vec(&value).expect("a value")))
    });
    length(Drain.call(request))
}

fn collect(Pieces(mut pieces): Pieces) -> Bytes {
    if pieces.len() == 1 {
        return pieces.pop_front().unwrap_or_default();
    }
    let mut text = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in &pieces {
        text.extend_from_slice(piece);
    }
    text.freeze()
}

fn length(answer: Ready<Result<usize, Infallible>>) -> usize {
    answer.into_inner().unwrap_or_else(|never| match never {})
}

impl<B: Body<Data = Bytes> + Unpin> Service<Request<B>> for Drain {
    type Response = usize;
    type Error = Infallible;
    type Future = Ready<Result<usize, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut context = Context::from_waker(Waker::noop());
        let mut body = request.into_body();
        let mut length = 0;
        while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
            length += frame.data_ref().map_or(0, Bytes::len);
        }
        ready(Ok(length))
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

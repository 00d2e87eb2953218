//! Any text in any pieces arrives as the oracle says, at its announced length.
#![no_main]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use fuzz::body::{Expected, judge};
use http::Request;
use http_body::{Body, Frame, SizeHint};
use libfuzzer_sys::{arbitrary::Arbitrary, fuzz_target};
use tokio_test::task;
use tower::{Layer, ServiceExt, service_fn};
use tower_session_affinity::{AffinityKey, FieldBody, PromptCacheKeyLayer};

const KEY: &str = "k-1";

/// How the body provides its text. The text comes last, so that it is the unchanged rest of the input.
#[derive(Arbitrary, Debug)]
struct Case<'a> {
    cuts: [u8; 4],
    knows_its_end: bool,
    knows_its_length: bool,
    text: &'a [u8],
}

/// A body of these pieces. Polling it after its end fails the run.
struct Pieces {
    left: VecDeque<Bytes>,
    knows_its_end: bool,
    knows_its_length: bool,
    has_ended: bool,
}

fuzz_target!(|case: Case<'_>| {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let report = Arc::clone(&reported);
    let layer = PromptCacheKeyLayer::new()
        .or(AffinityKey::from_static(KEY))
        .on_outcome(move |outcome, _| report.lock().unwrap().push(outcome.as_str()));
    let inner = service_fn(async |request: Request<FieldBody<Pieces>>| {
        Ok::<_, Infallible>(request.into_body())
    });
    let request = Request::post("https://api.openai.com/v1/responses")
        .header("content-type", "application/json")
        .body(case.pieces())
        .unwrap();
    let mut answer = task::spawn(layer.layer(inner).oneshot(request));
    let Poll::Ready(Ok(body)) = answer.poll() else {
        unreachable!("the inner service is ready at once")
    };

    let announced = body.size_hint().exact();
    let text = read(body);
    let outcomes = reported.lock().unwrap();
    let [outcome] = outcomes[..] else {
        panic!("expected one outcome, found {outcomes:?}")
    };
    assert_eq!(
        Expected { text, outcome },
        judge(case.text, "prompt_cache_key", KEY)
    );
    if case.knows_its_length {
        let len = judge(case.text, "prompt_cache_key", KEY).text.len();
        assert_eq!(announced, Some(len as u64));
    }
});

fn read(mut body: FieldBody<Pieces>) -> Vec<u8> {
    let mut context = Context::from_waker(Waker::noop());
    let mut text = Vec::new();
    loop {
        let hint = body.size_hint();
        match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => {
                let data = frame.into_data().expect("there are no trailers");
                assert!(hint.upper().is_none_or(|upper| data.len() as u64 <= upper));
                text.extend_from_slice(&data);
            }
            Poll::Ready(None) => {
                assert_eq!(hint.lower(), 0);
                return text;
            }
            Poll::Ready(Some(Err(never))) => match never {},
            Poll::Pending => unreachable!("the pieces are ready at once"),
        }
    }
}

impl Case<'_> {
    fn pieces(&self) -> Pieces {
        let mut rest = Bytes::copy_from_slice(self.text);
        let cut = |cut: &u8| rest.split_to(usize::from(*cut).min(rest.len()));
        let mut pieces: VecDeque<_> = self.cuts.iter().map(cut).collect();
        pieces.push_back(rest);
        Pieces {
            left: pieces,
            knows_its_end: self.knows_its_end,
            knows_its_length: self.knows_its_length,
            has_ended: false,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        assert!(!self.has_ended, "polled again after the end");
        let piece = self.left.pop_front();
        self.has_ended = piece.is_none();
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.left.iter().map(|piece| piece.len() as u64).sum();
        if self.knows_its_length {
            SizeHint::with_exact(left)
        } else {
            SizeHint::new()
        }
    }
}

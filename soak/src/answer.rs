//! The replica's service: how it answers each path.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use tokio::time::sleep;

use crate::ledger::{Ledger, Running};
use crate::wire::{BREAK, BROKEN, FLOOD, HOLD, ID};

/// Each frame of an endless response.
static CHUNK: [u8; 16 << 10] = [b'e'; 16 << 10];

/// Callers leave within 50 ms; the rest is time for a loaded machine to pass that on.
const LONGEST_HOLD: Duration = Duration::from_secs(15);

type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// Echoes a request body and records a broken one that ended as if complete.
#[derive(Debug)]
struct Echo {
    body: Incoming,
    broken: bool,
    running: Running,
}

pub(crate) async fn answer(
    request: Request<Incoming>,
    ledger: Arc<Ledger>,
) -> Result<Response<Answer>, Infallible> {
    let (head, body) = request.into_parts();
    let running = ledger.enter(&head.headers);
    let body = match head.uri.path().trim_start_matches('/') {
        BREAK => abort(running),
        FLOOD => flood(running),
        HOLD => hold(body, running).await,
        _ => Echo {
            body,
            broken: head.headers.contains_key(BROKEN),
            running,
        }
        .boxed_unsync(),
    };
    let mut response = Response::new(body);
    if let Some(id) = head.headers.get(ID) {
        response.headers_mut().insert(ID, id.clone());
    }
    Ok(response)
}

/// Waits for the caller to go away, which drops this future.
async fn hold(body: Incoming, running: Running) -> Answer {
    // If the caller goes away before the end of the body, this future is not dropped: reading fails.
    if body.collect().await.is_ok() {
        sleep(LONGEST_HOLD).await;
        running.mark_orphaned();
    }
    abort(running)
}

fn abort(running: Running) -> Answer {
    let chunks = stream::iter([Ok(Bytes::from_static(&CHUNK[..512]))]);
    let end = stream::once(async move {
        // Time for the first chunk to be sent.
        sleep(Duration::from_millis(5)).await;
        drop(running);
        Err(io::Error::other("aborted as planned"))
    });
    StreamBody::new(chunks.chain(end).map(|chunk| chunk.map(Frame::data))).boxed_unsync()
}

fn flood(running: Running) -> Answer {
    let chunks = stream::repeat_with(move || {
        // Moved into the closure to live as long as the body.
        let _running = &running;
        Ok(Frame::data(Bytes::from_static(&CHUNK)))
    });
    StreamBody::new(chunks).boxed_unsync()
}

impl Body for Echo {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() && self.broken {
            self.running.mark_accepted_as_complete();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        // If this were true, a broken body might not be polled to its end.
        !self.broken && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

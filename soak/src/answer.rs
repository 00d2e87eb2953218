//! How a replica answers.

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

use crate::ledger::{BROKEN, ID, Ledger, Running};

/// What each frame of an endless answer has.
static CHUNK: [u8; 16 << 10] = [b'e'; 16 << 10];

/// The path that sends the body back as it comes.
pub(crate) const ECHO: &str = "echo";
/// The path whose answer breaks off.
pub(crate) const BREAK: &str = "break";
/// The path whose answer comes when every caller has gone.
pub(crate) const HOLD: &str = "hold";
/// The path whose answer never ends.
pub(crate) const FLOOD: &str = "flood";

/// A caller is gone after 50 ms, and then it takes as long as a loaded machine takes.
const LONGEST_HOLD: Duration = Duration::from_secs(15);

type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// A request's body on its way back, which notes how it ended.
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
        BREAK => break_off(running),
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

/// Waits for the caller to go, which drops this future.
async fn hold(body: Incoming, running: Running) -> Answer {
    // A caller that goes before the end of the body drops nothing, but is seen here.
    if body.collect().await.is_ok() {
        sleep(LONGEST_HOLD).await;
        running.outlived_its_caller();
    }
    break_off(running)
}

fn break_off(running: Running) -> Answer {
    let chunks = stream::iter([Ok(Bytes::from_static(&CHUNK[..512]))]);
    let end = stream::once(async move {
        // So that the first chunk leaves before.
        sleep(Duration::from_millis(5)).await;
        drop(running);
        Err(io::Error::other("broken off"))
    });
    StreamBody::new(chunks.chain(end).map(|chunk| chunk.map(Frame::data))).boxed_unsync()
}

fn flood(running: Running) -> Answer {
    let chunks = stream::repeat_with(move || {
        // Moved in, so that it lasts as long as the body.
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
            self.running.ended_whole();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        // Else the end of a broken body might never be asked for.
        !self.broken && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! Faults to plant in the gateway, to check that a run finds them.

use std::fs::File;
use std::future::{pending, ready};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::{Extension, Router};
use clap::ValueEnum;
use futures_util::StreamExt as _;
use http::StatusCode;
use tower_session_affinity::AffinityKey;

/// Faults that must leave other requests alone hit one request in this many.
const ONE_IN: u64 = 50;

/// How many bytes each request leaks.
const LEAK: usize = 64 << 10;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Plant {
    /// Every request is sent with the same key
    WrongKey,
    /// Every request leaks 64 KiB
    Leak,
    /// One request in 50 panics
    Panic,
    /// One request in 50 is never answered
    Hang,
    /// A broken body is sent on as if it were complete
    Truncate,
    /// A request goes on after its caller has gone
    Detach,
    /// One request in 50 leaks a file descriptor
    Open,
}

impl Plant {
    pub(crate) fn put_into(self, router: Router) -> Router {
        match self {
            Self::WrongKey => router.layer(Extension(AffinityKey::from_static("planted"))),
            Self::Leak => router.layer(from_fn(leak)),
            Self::Panic => router.layer(from_fn(panic_sometimes)),
            Self::Hang => router.layer(from_fn(hang_sometimes)),
            Self::Truncate => router.layer(from_fn(truncate)),
            Self::Detach => router.layer(from_fn(detach)),
            Self::Open => router.layer(from_fn(open_sometimes)),
        }
    }
}

async fn leak(request: Request, next: Next) -> Response {
    Box::leak(vec![1_u8; LEAK].into_boxed_slice());
    next.run(request).await
}

async fn panic_sometimes(request: Request, next: Next) -> Response {
    assert!(!is_hit(), "planted");
    next.run(request).await
}

async fn hang_sometimes(request: Request, next: Next) -> Response {
    if is_hit() {
        pending::<()>().await;
    }
    next.run(request).await
}

async fn truncate(request: Request, next: Next) -> Response {
    let whole = |body: Body| {
        let chunks = body.into_data_stream();
        Body::from_stream(chunks.take_while(|chunk| ready(chunk.is_ok())))
    };
    next.run(request.map(whole)).await.map(whole)
}

async fn detach(request: Request, next: Next) -> Result<Response, StatusCode> {
    let answer = tokio::spawn(next.run(request)).await;
    answer.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn open_sometimes(request: Request, next: Next) -> Response {
    if is_hit() {
        std::mem::forget(File::open("/dev/null"));
    }
    next.run(request).await
}

fn is_hit() -> bool {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    REQUESTS.fetch_add(1, Ordering::Relaxed) % ONE_IN == 0
}

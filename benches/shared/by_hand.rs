//! What the contestants without this crate send.

use std::hint::black_box;

use http::{HeaderName, HeaderValue};
use tower_session_affinity::header;

use crate::shared::key;

/// What a request carries for a closure that does by hand what a key in the extensions does.
#[derive(Clone)]
pub(crate) struct Session(pub(crate) HeaderValue);

pub(crate) fn value() -> HeaderValue {
    key().into()
}

/// Returns a name that the optimizer does not know.
pub(crate) fn name() -> HeaderName {
    black_box(header::X_SESSION_AFFINITY)
}

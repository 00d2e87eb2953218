//! The key and the name for contestants that do not use this crate.

use std::hint::black_box;

use http::{HeaderName, HeaderValue};
use tower_session_affinity::header;

use crate::shared::key;

/// A session in the extensions, for a closure that reads it by hand.
#[derive(Clone)]
pub(crate) struct Session(pub(crate) HeaderValue);

pub(crate) fn value() -> HeaderValue {
    key().into()
}

/// Returns the name, hidden from the optimizer.
pub(crate) fn name() -> HeaderName {
    black_box(header::X_SESSION_AFFINITY)
}

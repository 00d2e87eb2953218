//! The stand-in for `derivation.rs` without the feature `hmac`.

use http::{HeaderValue, Uri};

/// There is none, so that an `Option` of it is `None` at compile time.
#[derive(Clone, Debug)]
pub(crate) enum Derivation {}

impl Derivation {
    pub(crate) fn derive(&self, _: &Uri, _: &HeaderValue) -> Option<HeaderValue> {
        match *self {}
    }
}

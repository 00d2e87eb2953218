//! The stand-in for `derivation.rs` without the feature `hmac`.

use http::{HeaderValue, Uri};

/// Uninhabited, so the compiler knows that an `Option` of it is `None`.
#[derive(Clone, Debug)]
pub(crate) enum Derivation {}

impl Derivation {
    pub(crate) fn derive(&self, _: &Uri, _: &HeaderValue) -> Option<HeaderValue> {
        match *self {}
    }
}

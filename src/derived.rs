//! Derived keys, which are sent instead of an id (feature `hmac`).

#[cfg(feature = "hmac")]
mod derivation;
#[cfg(feature = "hmac")]
mod format;
#[cfg(feature = "hmac")]
mod from_cookie;
#[cfg(feature = "hmac")]
mod from_headers;
#[cfg(not(feature = "hmac"))]
mod none;
#[cfg(feature = "hmac")]
mod secret;

#[cfg(feature = "hmac")]
pub(crate) use derivation::Derivation;
#[cfg(feature = "hmac")]
pub use from_cookie::DerivedFromCookie;
#[cfg(feature = "hmac")]
pub use from_headers::DerivedFromHeaders;
#[cfg(not(feature = "hmac"))]
pub(crate) use none::Derivation;
#[cfg(feature = "hmac")]
pub use secret::{AffinitySecret, InvalidAffinitySecret};

//! The layer in clients that are not tower services for `http` requests.

#[cfg(feature = "reqwest")]
pub(crate) mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;

//! What the driver and the replicas agree on: paths and header names.

use http::HeaderName;

/// The path that echoes the request body chunk by chunk.
pub(crate) const ECHO: &str = "echo";
/// The path whose response is aborted after its first chunk.
pub(crate) const BREAK: &str = "break";
/// The path that sends nothing until the caller has gone.
pub(crate) const HOLD: &str = "hold";
/// The path whose response never ends.
pub(crate) const FLOOD: &str = "flood";

/// The number of a request, repeated in its response.
pub(crate) const ID: HeaderName = HeaderName::from_static("x-soak-id");

/// The key that a request must arrive with. Without this header it must arrive without a key.
pub(crate) const EXPECTED: HeaderName = HeaderName::from_static("x-soak-expected");

/// Marks a request whose body must not arrive as if it were complete.
pub(crate) const BROKEN: HeaderName = HeaderName::from_static("x-soak-broken");

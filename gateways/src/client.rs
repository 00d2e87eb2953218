//! An HTTP client without the layer, set up as a user should set it up.

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// A client without the layer.
pub type Bare = Client<HttpConnector, Full<Bytes>>;

/// Creates a client without the layer.
#[must_use]
pub fn bare_client() -> Bare {
    let mut connector = HttpConnector::new();
    // Otherwise the second segment of a request waits for the acknowledgement of the first: 40 ms on Linux.
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

//! Chooses the session of a call, and the hosts that get it.

use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};
use serde_json::{Map, Value};
use tower_session_affinity::{Destinations, FromExtension, FromScope, Or, SessionAffinityLayer};

/// Returns the layer for every call to a model: it sends the session of the scope in the header that the provider
/// reads.
pub(crate) fn layer() -> SessionAffinityLayer<Or<FromExtension, FromScope>> {
    SessionAffinityLayer::new()
        .or(FromScope)
        .destinations(Destinations::known())
}

/// Returns the headers of a call that a binding makes, with the session among them.
///
/// A binding takes headers instead of a request. `api` is the HTTP address of the same model. Its host decides, as for
/// a call over HTTP, whether the session is sent and in which header.
pub(crate) fn headers_for(api: &'static str, mut headers: HeaderMap) -> Map<String, Value> {
    let uri = Uri::from_static(api);
    layer().stamp(&Method::POST, &uri, &mut headers, &Extensions::new());

    let text = |value: &HeaderValue| Some(value.to_str().ok()?.into());
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), text(value)?)))
        .collect()
}

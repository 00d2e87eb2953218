//! Which session a call carries, and to whom.

use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};
use serde_json::{Map, Value};
use tower_session_affinity::{Destinations, FromExtension, FromScope, Or, SessionAffinityLayer};

/// The layer for every call to a model: the session of the scope, in the header that its provider reads.
pub(crate) fn layer() -> SessionAffinityLayer<Or<FromExtension, FromScope>> {
    SessionAffinityLayer::new()
        .or(FromScope)
        .destinations(Destinations::known())
}

/// The headers of a call that a binding makes, with its session among them.
///
/// A binding takes headers and no request. `api` is where the same model is over HTTP: its host decides, here as
/// there, which header carries the session and whether one may.
pub(crate) fn headers_for(api: &'static str, mut headers: HeaderMap) -> Map<String, Value> {
    let uri = Uri::from_static(api);
    layer().stamp(&Method::POST, &uri, &mut headers, &Extensions::new());

    let text = |value: &HeaderValue| Some(value.to_str().ok()?.into());
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), text(value)?)))
        .collect()
}

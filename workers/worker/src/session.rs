//! Which session a call carries, and to whom.

use http::{Extensions, HeaderMap, Method, Uri};
use serde_json::{Map, Value};
use tower_session_affinity::{FromExtension, FromScope, HostPattern, Or, SessionAffinityLayer};

/// The layer for every call to a model: the session of the scope, to the hosts that read one.
pub(crate) fn layer() -> SessionAffinityLayer<Or<FromExtension, FromScope>> {
    let hosts = [HostPattern::from_static("api.cloudflare.com")];
    SessionAffinityLayer::new().or(FromScope).only_hosts(hosts)
}

/// The headers of a call that a binding makes, with its session among them.
///
/// A binding takes headers and no request. `api` is the address of the same model over HTTP: its host decides,
/// here as there, which header carries the session and whether one may.
pub(crate) fn headers_for(api: &'static str, mut headers: HeaderMap) -> Map<String, Value> {
    layer().stamp(
        &Method::POST,
        &Uri::from_static(api),
        &mut headers,
        &Extensions::new(),
    );

    let text = |value: &http::HeaderValue| Some(value.to_str().ok()?.into());
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), text(value)?)))
        .collect()
}

//! Each provider gets the header that it reads, and other hosts get none.

mod known;
mod row;
mod table;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tower_session_affinity::{
    AffinityKey, Destinations, MergePolicy, Outcome, SessionAffinityLayer,
};

const OURS: AffinityKey = AffinityKey::from_static("ours");

/// Returns the outcome and all headers that a layer with a fixed key sends to this URI.
fn sent(
    destinations: Destinations,
    policy: MergePolicy,
    uri: &str,
    before: &[(&'static str, &str)],
) -> (Outcome, Vec<(String, String)>) {
    let layer = SessionAffinityLayer::new().or(OURS).merge_policy(policy);
    let layer = layer.destinations(destinations);
    let mut headers = HeaderMap::new();
    for (name, value) in before {
        let value = HeaderValue::from_str(value).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    let uri: Uri = uri.parse().unwrap();
    let outcome = layer.stamp(&Method::POST, &uri, &mut headers, &http::Extensions::new());
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)));
    (outcome, pairs.collect())
}

fn known(uri: &str) -> (Outcome, Vec<(String, String)>) {
    sent(Destinations::known(), MergePolicy::Keep, uri, &[])
}

fn one(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

//! Header maps whose names collide, as an attacker can arrange: they refuse a name despite having room.

use http::{Extensions, HeaderMap, HeaderValue, Method, Uri};
use refusing::refusing_map;
use tower_session_affinity::{
    AffinityKey, MergePolicy, Outcome, SessionAffinityLayer, header::X_SESSION_AFFINITY,
};

#[path = "support/refusing.rs"]
mod refusing;

fn stamp(policy: MergePolicy, headers: &mut HeaderMap) -> (Outcome, Vec<HeaderValue>) {
    let layer = SessionAffinityLayer::new()
        .or(AffinityKey::from_static("ours"))
        .merge_policy(policy);
    let uri = Uri::from_static("https://api.example/v1/chat");
    let outcome = layer.stamp(&Method::POST, &uri, headers, &Extensions::new());
    let values = headers.get_all(X_SESSION_AFFINITY);
    (outcome, values.iter().cloned().collect())
}

#[test]
fn replace_sends_only_our_value_if_the_map_refuses_it_at_first() {
    for (theirs, outcome) in [
        (&[][..], Outcome::Stamped),
        (&["theirs"], Outcome::Replaced),
        (&["theirs", "another"], Outcome::Replaced),
    ] {
        let mut headers = refusing_map(&X_SESSION_AFFINITY, theirs);
        let sent = stamp(MergePolicy::Replace, &mut headers);
        let ours = HeaderValue::from_static("ours");
        assert_eq!(sent, (outcome, vec![ours]), "{theirs:?}");
    }
}

#[test]
fn keep_sends_the_first_value_if_the_map_refuses_it_at_first() {
    for theirs in [&["theirs"][..], &["", "theirs", "another"]] {
        let mut headers = refusing_map(&X_SESSION_AFFINITY, theirs);
        let (outcome, sent) = stamp(MergePolicy::Keep, &mut headers);
        assert_eq!(
            (outcome, &*sent),
            (Outcome::Kept, &[HeaderValue::from_static("theirs")][..])
        );
    }
}

//! The rules that `tower-affinity-token` applies are those of the layer.

use http::{HeaderName, HeaderValue, Method, Request, Uri};
use tower_session_affinity::rules::{HeaderRules, is_blank};
use tower_session_affinity::{
    AffinityKey, HostPattern, MergePolicy, NoAffinity, Outcome, SessionAffinityLayer,
};

const NAME: HeaderName = HeaderName::from_static("x-session-token");

/// Requests with every combination of what the rules read.
fn requests() -> Vec<Request<()>> {
    let mut requests = Vec::new();
    for before in [
        &[][..],
        &[""],
        &["", " \t"],
        &["own"],
        &["", "own", "other"],
    ] {
        for uri in [
            "https://a.example/",
            "https://b.example/",
            "a.example:443",
            "/",
        ] {
            for (connects, is_suppressed) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let mut request = Request::new(());
                *request.uri_mut() = Uri::from_static(uri);
                if connects {
                    *request.method_mut() = Method::CONNECT;
                }
                if is_suppressed {
                    request.extensions_mut().insert(NoAffinity);
                }
                for value in before {
                    let value = HeaderValue::from_static(value);
                    request.headers_mut().append(NAME, value);
                }
                requests.push(request);
            }
        }
    }
    requests
}

fn compare(policy: MergePolicy, hosts: Option<[HostPattern; 1]>, key: Option<&AffinityKey>) {
    let rules = HeaderRules {
        name: NAME,
        policy,
        only_hosts: hosts.clone().map(Into::into),
    };
    let layer = SessionAffinityLayer::new()
        .header_name(NAME)
        .merge_policy(policy);
    let mut layer = layer.or(key.cloned());
    if let Some(hosts) = hosts {
        layer = layer.only_hosts(hosts);
    }
    for mut request in requests() {
        let before = format!("{rules:?}, key {key:?}, {request:?}");
        let mut expected = request.headers().clone();
        let (method, uri, extensions) = (request.method(), request.uri(), request.extensions());
        let expected_outcome = layer.stamp(method, uri, &mut expected, extensions);
        let value = key.cloned().map(Into::into).ok_or(Outcome::NoKey);
        let outcome = rules.apply(&mut request, |_| value);
        assert_eq!(outcome, expected_outcome, "{before}");
        assert_eq!(request.headers(), &expected, "{before}");
    }
}

#[test]
fn header_rules_treat_every_request_as_the_layer_does() {
    let ours = AffinityKey::from_static("ours");
    for policy in [MergePolicy::Keep, MergePolicy::Replace] {
        for hosts in [None, Some([HostPattern::from_static("a.example")])] {
            compare(policy, hosts.clone(), None);
            compare(policy, hosts, Some(&ours));
        }
    }
}

#[test]
fn a_value_is_blank_if_it_has_only_spaces_and_tabs() {
    for (value, expected) in [("", true), (" \t", true), (" x", false)] {
        let value = HeaderValue::from_static(value);
        assert_eq!(is_blank(&value), expected, "{value:?}");
    }
}

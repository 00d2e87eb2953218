//! The outcomes that a layer reports.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Uri};
use tower::{Layer, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, HostPattern, KeyExtractor, Outcome, SessionAffinityLayer, from_fn,
};

const OURS: AffinityKey = AffinityKey::from_static("ours");

fn stamp<K: KeyExtractor>(layer: &SessionAffinityLayer<K>, method: &Method, uri: &str) -> Outcome {
    let mut headers = HeaderMap::new();
    let uri: Uri = uri.parse().unwrap();
    let outcome = layer.stamp(method, &uri, &mut headers, &Extensions::new());
    assert_eq!(
        headers.len(),
        usize::from(outcome.is_sent()),
        "{outcome:?}: {headers:?}"
    );
    outcome
}

#[test]
fn every_outcome_has_a_unique_snake_case_name() {
    let mut names: Vec<_> = Outcome::ALL
        .iter()
        .map(|outcome| outcome.as_str())
        .collect();
    for (outcome, name) in Outcome::ALL.iter().zip(&names) {
        let variant = format!("{outcome:?}");
        assert_eq!(name.replace('_', ""), variant.to_ascii_lowercase());
        assert_eq!(*name, name.to_ascii_lowercase());
        let words = variant.chars().filter(char::is_ascii_uppercase).count();
        assert_eq!(name.split('_').count(), words, "words of {name}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names.len(),
        Outcome::ALL.len(),
        "expected unique names: {names:?}"
    );
}

#[test]
fn the_hook_is_called_once_per_request_with_the_head_that_is_sent() {
    let reported = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&reported);
    let layer = SessionAffinityLayer::new()
        .on_outcome(|_, _| panic!("only the last hook may be called"))
        .or_fn(|req| req.key("x-user-id"))
        .on_outcome(move |outcome, head| {
            let sent = head.headers().get("x-session-affinity").cloned();
            let host = head.uri().host().unwrap_or_default().to_owned();
            log.lock().unwrap().push((outcome, host, sent));
        })
        .only_hosts([HostPattern::from_static("a.example")]);
    let client = layer.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(())));
    for (uri, user) in [
        ("http://a.example/", Some("u-42")),
        ("http://a.example/", None),
        ("http://b.example/", Some("u-42")),
    ] {
        let mut request = Request::get(uri);
        if let Some(user) = user {
            request = request.header("x-user-id", user);
        }
        let call = client.clone().oneshot(request.body(()).unwrap());
        tokio_test::block_on(call).unwrap();
    }
    let row = |outcome, host: &str, sent: Option<&'static str>| {
        (outcome, host.to_owned(), sent.map(HeaderValue::from_static))
    };
    assert_eq!(
        *reported.lock().unwrap(),
        [
            row(Outcome::Stamped, "a.example", Some("u-42")),
            row(Outcome::NoKey, "a.example", None),
            row(Outcome::HostNotAllowed, "b.example", None),
        ],
    );
}

#[test]
fn a_tunnel_is_never_given_the_header() {
    let layer = SessionAffinityLayer::new().or(OURS);
    let listed = layer
        .clone()
        .only_hosts([HostPattern::from_static("a.example")]);
    for layer in [&layer, &listed] {
        assert_eq!(
            stamp(layer, &Method::CONNECT, "a.example:443"),
            Outcome::Tunnel
        );
        // A WebSocket over HTTP/2 is not a tunnel: the host itself reads the request.
        assert_eq!(
            stamp(layer, &Method::CONNECT, "https://a.example/ws"),
            Outcome::Stamped
        );
    }

    let mut headers = HeaderMap::new();
    headers.insert("x-session-affinity", HeaderValue::from_static("theirs"));
    let uri = Uri::from_static("a.example:443");
    listed.stamp(&Method::CONNECT, &uri, &mut headers, &Extensions::new());
    assert!(headers.is_empty());
}

#[test]
fn from_source_replaces_the_extensions_as_a_source() {
    let layer = SessionAffinityLayer::from_source(from_fn(|req| req.key("x-tenant-id")));
    let request = Request::get("http://a.example/")
        .header("x-tenant-id", "t-1")
        .extension(OURS)
        .body(())
        .unwrap();
    let (mut parts, ()) = request.into_parts();
    let headers = &mut parts.headers;
    layer.stamp(&parts.method, &parts.uri, headers, &parts.extensions);
    assert_eq!(headers["x-session-affinity"], "t-1");
}

#[test]
fn two_layers_send_two_ids_under_two_names() {
    let session = SessionAffinityLayer::new();
    let tenant = SessionAffinityLayer::from_source(AffinityKey::from_static("tenant-7"))
        .header_name("x-tenant".parse().unwrap());
    let received = service_fn(async |request: Request<()>| Ok::<_, Infallible>(request));
    let client = session.layer(tenant.layer(received));
    let request = Request::get("http://a.example/")
        .extension(OURS)
        .body(())
        .unwrap();
    let received = tokio_test::block_on(client.oneshot(request)).unwrap();
    assert_eq!(received.headers()["x-session-affinity"], "ours");
    assert_eq!(received.headers()["x-tenant"], "tenant-7");
}

#[test]
fn request_head_key_returns_the_first_valid_value_with_its_sensitive_flag() {
    let mut value = HeaderValue::from_static("second");
    value.set_sensitive(true);
    let request = Request::get("/")
        .header("x-user-id", "not, a key")
        .header("x-user-id", value)
        .body(())
        .unwrap();
    let key = tower_session_affinity::RequestHead::from(&request)
        .key("x-user-id")
        .unwrap();
    assert_eq!(key.as_str(), "second");
    assert!(key.as_header_value().is_sensitive());
    let owned = key.clone().into_owned();
    assert_eq!(owned, key);
    assert!(owned.as_header_value().is_sensitive());
    let bytes = |key: &AffinityKey| key.as_header_value().as_bytes().as_ptr();
    assert_ne!(bytes(&owned), bytes(&key));
}

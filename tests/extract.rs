//! Where a key comes from, and in which order. Closures need no type annotations.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Request};
use tower::{Layer, ServiceExt, service_fn};
use tower_session_affinity::{
    AffinityKey, FromExtension, FromHeaders, HostPattern, KeyExtractor, MergePolicy, Or, Outcome,
    RequestHead, SessionAffinityLayer, from_fn, header,
};

fn key(text: &str) -> AffinityKey {
    text.parse().unwrap()
}

fn stamped<K: KeyExtractor>(layer: &SessionAffinityLayer<K>, request: Request<()>) -> String {
    let (mut parts, ()) = request.into_parts();
    layer.stamp(
        &parts.method,
        &parts.uri,
        &mut parts.headers,
        &parts.extensions,
    );
    let value = parts
        .headers
        .get("x-session-affinity")
        .map(HeaderValue::to_str);
    value.map_or("none", Result::unwrap).to_owned()
}

fn request(headers: &[(&str, &str)]) -> Request<()> {
    let builder = Request::post("https://api.example/v1/chat");
    headers
        .iter()
        .fold(builder, |builder, (name, value)| {
            builder.header(*name, *value)
        })
        .body(())
        .unwrap()
}

#[test]
fn sources_are_asked_in_order_starting_with_the_extensions() {
    let layer = SessionAffinityLayer::new()
        .or_fn(|req| req.headers().get("x-user-id")?.try_into().ok())
        .or(FromHeaders::new([header::X_SESSION_ID]))
        .or(AffinityKey::from_static("fixed"));

    let mut all = request(&[("x-user-id", "user"), ("x-session-id", "session")]);
    all.extensions_mut().insert(key("extension"));
    assert_eq!(stamped(&layer, all), "extension");
    let no_extension = request(&[("x-user-id", "user"), ("x-session-id", "session")]);
    assert_eq!(stamped(&layer, no_extension), "user");
    assert_eq!(
        stamped(&layer, request(&[("x-session-id", "session")])),
        "session"
    );
    assert_eq!(stamped(&layer, request(&[])), "fixed");
    assert_eq!(stamped(&SessionAffinityLayer::new(), request(&[])), "none");
}

#[test]
fn after_a_closure_without_a_valid_key_the_next_source_is_asked() {
    let layer = SessionAffinityLayer::new()
        .or_fn(|req| req.headers().get("x-user-id")?.try_into().ok())
        .or(AffinityKey::from_static("fixed"));
    assert_eq!(
        stamped(&layer, request(&[("x-user-id", "not, one")])),
        "fixed"
    );
}

#[test]
fn a_closure_sees_method_uri_headers_and_extensions() {
    let layer = SessionAffinityLayer::new().or_fn(|req| {
        let number: &u32 = req.extensions().get()?;
        let host = req.uri().host()?;
        let accept = req.headers().get("accept")?.to_str().ok()?;
        format!("{}/{host}/{accept}/{number}", req.method())
            .try_into()
            .ok()
    });
    let mut request = request(&[("accept", "text/html")]);
    request.extensions_mut().insert(7_u32);
    assert_eq!(stamped(&layer, request), "POST/api.example/text/html/7");
}

#[test]
fn a_head_is_made_from_a_request_or_its_parts() {
    let (parts, ()) = request(&[("x-session-id", "session")]).into_parts();
    let sessions = FromHeaders::new([header::X_SESSION_ID]);
    assert_eq!(
        sessions.extract(RequestHead::from(&parts)),
        Some(key("session"))
    );
    let request = Request::from_parts(parts, ());
    let head = RequestHead::from(&request);
    assert_eq!(sessions.extract(head), Some(key("session")));
    assert_eq!(format!("{head:?}"), "RequestHead { method: POST, .. }");
}

#[test]
fn headers_are_searched_by_name_then_by_value_and_invalid_values_are_skipped() {
    let sessions = FromHeaders::new([header::X_SESSION_ID, header::SESSION_ID]);
    for (headers, expected) in [
        (&[("session-id", "b"), ("x-session-id", "a")][..], Some("a")),
        (&[("session-id", "b")], Some("b")),
        (
            &[("x-session-id", ""), ("x-session-id", "second")],
            Some("second"),
        ),
        (&[("x-session-id", "a b"), ("session-id", "b")], Some("b")),
        (
            &[("x-session-id", "a, b"), ("session-id", "schlüssel")],
            None,
        ),
        (&[("x-other", "a")], None),
        (&[], None),
    ] {
        let request = request(headers);
        assert_eq!(
            sessions.extract((&request).into()),
            expected.map(key),
            "{headers:?}"
        );
    }
}

#[test]
fn an_option_is_a_source_and_none_finds_nothing() {
    let layer = |configured: Option<AffinityKey>| SessionAffinityLayer::new().or(configured);
    assert_eq!(
        stamped(&layer(Some(key("configured"))), request(&[])),
        "configured"
    );
    assert_eq!(stamped(&layer(None), request(&[])), "none");
}

#[test]
fn a_source_can_be_chosen_at_run_time() {
    let by_user = from_fn(|req| req.headers().get("x-user-id")?.try_into().ok());
    let sources: [Arc<dyn KeyExtractor + Send + Sync>; 3] = [
        Arc::new(key("fixed")),
        Arc::new(by_user),
        Arc::new(Or::new(FromExtension, None::<AffinityKey>)),
    ];
    let found = sources.map(|source| {
        stamped(
            &SessionAffinityLayer::new().or(source),
            request(&[("x-user-id", "user")]),
        )
    });
    assert_eq!(found, ["fixed", "user", "none"]);
}

#[test]
fn adding_a_source_last_keeps_the_other_settings() {
    let layer = SessionAffinityLayer::new()
        .header_name(header::X_SESSION_ID)
        .merge_policy(MergePolicy::Replace)
        .only_hosts([HostPattern::from_static("a.example")])
        .or(key("ours"));
    for (uri, outcome, sent) in [
        ("http://a.example/", Outcome::Replaced, Some("ours")),
        ("http://b.example/", Outcome::HostNotAllowed, None),
    ] {
        let (mut parts, ()) = request(&[("x-session-id", "caller")]).into_parts();
        let uri = uri.parse().unwrap();
        let done = layer.stamp(&parts.method, &uri, &mut parts.headers, &parts.extensions);
        let value = parts
            .headers
            .get("x-session-id")
            .map(|value| value.to_str().unwrap());
        assert_eq!(
            (done, value, parts.headers.len()),
            (outcome, sent, sent.iter().len())
        );
    }
}

#[test]
fn a_custom_type_can_be_a_source() {
    struct FromPath;
    impl KeyExtractor for FromPath {
        fn extract(&self, head: RequestHead<'_>) -> Option<AffinityKey> {
            head.uri().path().rsplit('/').next()?.parse().ok()
        }
    }
    let layer = SessionAffinityLayer::new().or(FromPath);
    assert_eq!(stamped(&layer, request(&[])), "chat");
}

#[tokio::test]
async fn one_layer_serves_services_of_two_body_types() {
    async fn echo<B>(request: Request<B>) -> Result<HeaderMap, Infallible> {
        Ok(request.into_parts().0.headers)
    }
    let layer =
        SessionAffinityLayer::new().or_fn(|req| req.headers().get("x-user-id")?.try_into().ok());

    let text = Request::get("/")
        .header("x-user-id", "user")
        .body(String::new())
        .unwrap();
    let bytes = Request::get("/")
        .header("x-user-id", "user")
        .body(vec![0_u8])
        .unwrap();
    let text = layer
        .layer(service_fn(echo::<String>))
        .oneshot(text)
        .await
        .unwrap();
    let bytes = layer
        .layer(service_fn(echo::<Vec<u8>>))
        .oneshot(bytes)
        .await
        .unwrap();
    assert_eq!(text["x-session-affinity"], "user");
    assert_eq!(bytes["x-session-affinity"], "user");
}

#[test]
fn debug_output_shows_neither_a_fixed_key_nor_the_state_of_a_closure() {
    let secret = String::from("alice@corp.example");
    let layer = SessionAffinityLayer::new()
        .or(key(&secret))
        .or_fn(move |_| secret.as_str().try_into().ok());
    let shown = format!("{layer:?} {:?}", layer.layer(()));
    for source in ["FromExtension", "AffinityKey(..)", "FromFn(..)"] {
        assert_eq!(shown.matches(source).count(), 2, "{source} in {shown}");
    }
    assert!(!shown.contains("alice"), "{shown}");
}

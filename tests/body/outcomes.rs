//! Which outcome is reported for each request, and when.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use tower_session_affinity::{AffinityKey, NoAffinity, Outcome, PromptCacheKeyLayer, from_fn};

use crate::script::{Script, Step};
use crate::{KEY, chat, read, send};

/// Records each outcome with the path and the length of its request.
#[derive(Clone, Default)]
struct Reported(Arc<Mutex<Vec<(Outcome, String)>>>);

impl Reported {
    fn layer(&self) -> PromptCacheKeyLayer {
        let reported = self.clone();
        PromptCacheKeyLayer::new().on_outcome(move |outcome, head| {
            let length = head.headers().get("content-length");
            let length = length.map_or("no length", |length| length.to_str().unwrap());
            let shown = format!("{} {length}", head.uri().path());
            reported.0.lock().unwrap().push((outcome, shown));
        })
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|(outcome, _)| *outcome)
            .collect()
    }
}

/// Returns the outcome of a request whose body is read to its end.
fn outcome_of<B: Body<Error: std::fmt::Debug>>(request: Request<B>) -> Outcome {
    let reported = Reported::default();
    read(send(&reported.layer(), request).into_body());
    let outcomes = reported.outcomes();
    assert_eq!(outcomes.len(), 1, "expected one outcome: {outcomes:?}");
    outcomes[0]
}

fn with_key(text: &'static str) -> Request<Full<Bytes>> {
    let mut request = chat(Full::from(text));
    request.extensions_mut().insert(KEY);
    request
}

#[test]
fn each_reason_to_skip_a_body_has_its_outcome() {
    let change = |change: fn(&mut Request<Full<Bytes>>)| {
        let mut request = with_key("{}");
        change(&mut request);
        outcome_of(request)
    };
    let header = |name: &'static str, value: &'static str| {
        let mut request = with_key("{}");
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
        outcome_of(request)
    };
    let uri = |uri| {
        let mut request = with_key("{}");
        *request.uri_mut() = Uri::from_static(uri);
        outcome_of(request)
    };
    assert_eq!(header("content-type", "text/plain"), Outcome::NotJson);
    assert_eq!(header("content-encoding", "gzip"), Outcome::Encoded);
    assert_eq!(header("content-length", "two"), Outcome::Encoded);
    assert_eq!(header("content-md5", "x"), Outcome::Signed);
    assert_eq!(
        uri("https://evil.example/v1/chat/completions"),
        Outcome::HostNotAllowed
    );
    assert_eq!(
        uri("https://api.openai.com/v1/models"),
        Outcome::FieldNotRead
    );
    assert_eq!(uri("/v1/chat/completions"), Outcome::NoAuthority);
    assert_eq!(
        change(|request| {
            request.extensions_mut().insert(NoAffinity);
        }),
        Outcome::Suppressed
    );
    assert_eq!(
        change(|request| {
            request.extensions_mut().clear();
        }),
        Outcome::NoKey
    );
    let long: AffinityKey = "k".repeat(65).parse().unwrap();
    let mut request = with_key("{}");
    request.extensions_mut().insert(long);
    assert_eq!(outcome_of(request), Outcome::TooLong);
}

#[test]
fn the_outcome_depends_on_the_whole_body() {
    assert_eq!(outcome_of(with_key(r#"{"a":1}"#)), Outcome::Stamped);
    assert_eq!(outcome_of(with_key("{}")), Outcome::Stamped);
    assert_eq!(
        outcome_of(with_key(r#"{"prompt_cache_key":null}"#)),
        Outcome::Kept
    );
    assert_eq!(outcome_of(with_key(r#"{"\u0061":null}"#)), Outcome::Kept);
    assert_eq!(outcome_of(with_key("[]")), Outcome::NotAnObject);
    assert_eq!(outcome_of(with_key(r#"{"a":"#)), Outcome::NotAnObject);
    assert_eq!(outcome_of(with_key("{} {}")), Outcome::NotAnObject);
}

#[test]
fn an_empty_body_is_reported_as_not_json() {
    let empty = |known: bool| {
        let script = Script::new([]);
        let mut request = chat(if known {
            script.knowing_its_end()
        } else {
            script
        });
        request.extensions_mut().insert(KEY);
        outcome_of(request)
    };
    assert_eq!(empty(true), Outcome::NotJson);
    assert_eq!(empty(false), Outcome::NotJson);
    let mut get = Request::get(crate::CHAT)
        .body(Empty::<Bytes>::new())
        .unwrap();
    get.extensions_mut().insert(KEY);
    assert_eq!(outcome_of(get), Outcome::NotJson);
}

#[test]
fn no_source_is_asked_if_the_head_rules_the_field_out() {
    let source = from_fn(|_| panic!("a source was asked"));
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-encoding", "br"),
        ("digest", "x"),
    ] {
        let mut request = with_key("{}");
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
        read(send(&PromptCacheKeyLayer::from_source(source), request).into_body());
    }
}

#[test]
fn the_outcome_is_reported_once_when_known_with_the_head_that_was_sent() {
    let data = |text: &'static str| Step::Data(Bytes::from_static(text.as_bytes()));
    let reported = Reported::default();
    let mut request = chat(Script::new([data(r#"{"a":1}"#), Step::Wait, data(" ")]));
    request.extensions_mut().insert(KEY);
    request
        .headers_mut()
        .insert("content-length", HeaderValue::from_static("8"));
    let mut body = send(&reported.layer(), request).into_body();
    while body.frame().now_or_never().is_some() {}
    assert!(reported.outcomes().is_empty());
    read(&mut body);
    let expected = format!("/v1/chat/completions {}", 8 + crate::MEMBER.len());
    assert_eq!(*reported.0.lock().unwrap(), [(Outcome::Stamped, expected)]);
    drop(body);
    assert_eq!(reported.outcomes().len(), 1, "expected no second report");
}

#[test]
fn the_outcome_is_known_before_the_last_byte_is_sent() {
    // A client stops polling once it has as many bytes as were announced.
    for text in [r#"{"a":1}"#, "[]"] {
        let reported = Reported::default();
        let mut body = send(&reported.layer(), with_key(text)).into_body();
        let mut left = body.size_hint().exact().unwrap();
        while left > 0 {
            let frame = body.frame().now_or_never().unwrap().unwrap().unwrap();
            left -= frame.data_ref().unwrap().len() as u64;
        }
        drop(body);
        assert_eq!(reported.outcomes().len(), 1, "{text}");
    }
}

#[test]
fn a_body_that_fails_or_is_dropped_reports_no_outcome() {
    let reported = Reported::default();
    let mut failing = chat(Script::new([Step::Error("broken")]));
    failing.extensions_mut().insert(KEY);
    let failed = send(&reported.layer(), failing)
        .into_body()
        .collect()
        .now_or_never();
    assert!(failed.unwrap().is_err());
    drop(send(&reported.layer(), with_key("{}")));
    assert!(reported.outcomes().is_empty());
}

#[cfg(feature = "tracing")]
mod events {
    use tracing_subscriber::filter::LevelFilter;

    use super::*;
    use crate::log::logged;

    #[test]
    fn an_event_in_the_span_of_the_request_names_the_field_but_not_the_key() {
        let log = logged(LevelFilter::TRACE, || {
            let request = with_key(r#"{"a":1}"#);
            let span = tracing::info_span!("answering", turn = 3);
            let sent = span.in_scope(|| send(&PromptCacheKeyLayer::new(), request));
            read(sent.into_body());
        });
        assert_eq!(log.lines().count(), 1, "expected one line: {log}");
        assert!(log.contains(r#"outcome="stamped""#), "{log}");
        assert!(log.contains(r#"body_field="prompt_cache_key""#), "{log}");
        assert!(log.contains("answering{turn=3}"), "{log}");
        assert!(!log.contains("chat-7"), "{log}");
    }

    #[test]
    fn a_missing_key_is_a_warning_but_a_skipped_body_is_not() {
        let log = logged(LevelFilter::WARN, || {
            let layer = PromptCacheKeyLayer::new().expect_key();
            let without_key = || chat(Full::<Bytes>::from("{}"));
            read(send(&layer, without_key()).into_body());
            let mut text = without_key();
            text.headers_mut()
                .insert("content-type", HeaderValue::from_static("text/plain"));
            read(send(&layer, text).into_body());
            let mut elsewhere = without_key();
            *elsewhere.uri_mut() = Uri::from_static("https://evil.example/");
            read(send(&layer, elsewhere).into_body());
        });
        assert_eq!(log.lines().count(), 1, "expected one line: {log}");
        assert!(log.contains(r#"outcome="no_key""#), "{log}");
    }
}

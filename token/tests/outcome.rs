//! What is reported for each request and for its end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request};
use support::{InFlight, TOKEN, answer, client, issue, send, turn};
use tower_affinity_token::{AffinityTokenLayer, MemoryStore, Outcome};
use tower_session_affinity::{FromExtension, FromHeaders, HostPattern, MergePolicy, NoAffinity};

mod support;

const A: &str = "https://a.example/chat";

type Layer = AffinityTokenLayer<FromExtension, MemoryStore>;

/// The outcomes that a layer has reported since the last look.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Outcome>>>);

impl Told {
    fn hear(&self, layer: Layer) -> Layer {
        let told = self.0.clone();
        layer.on_outcome(move |outcome| told.lock().unwrap().push(outcome))
    }

    fn take(&self) -> Vec<Outcome> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Returns what is reported for a request and its response.
fn told(layer: Layer, request: Request<()>, status: u16, token: Option<&str>) -> Vec<Outcome> {
    let told = Told::default();
    send(&client(&told.hear(layer)), request, answer(status, token));
    told.take()
}

fn layer() -> Layer {
    AffinityTokenLayer::new(TOKEN)
}

/// A layer that remembers `t1` for `chat-1`.
fn remembering(layer: Layer) -> Layer {
    issue(&client(&layer), A, "chat-1", "t1");
    layer
}

#[test]
fn a_request_without_a_session_has_one_outcome() {
    let keyless = || Request::get(A).body(()).unwrap();
    let mut tunnel = turn("a.example:443", "chat-1");
    *tunnel.method_mut() = Method::CONNECT;
    let elsewhere = [HostPattern::from_static("b.example")];
    let mut own = turn(A, "chat-1");
    own.headers_mut().insert(TOKEN, "own".parse().unwrap());
    let mut marked = turn(A, "chat-1");
    marked.extensions_mut().insert(NoAffinity);
    for (layer, request, expected) in [
        (layer(), own, Outcome::Kept),
        (layer(), keyless(), Outcome::NoKey),
        (layer(), marked, Outcome::Suppressed),
        (layer(), turn("/chat", "chat-1"), Outcome::NoAuthority),
        (layer(), tunnel, Outcome::Tunnel),
        (
            layer().only_hosts(elsewhere.clone()),
            turn(A, "chat-1"),
            Outcome::HostNotAllowed,
        ),
        (
            layer().only_hosts(elsewhere),
            turn("/chat", "chat-1"),
            Outcome::NoAuthority,
        ),
    ] {
        assert_eq!(told(layer, request, 200, Some("t1")), [expected]);
    }
}

#[test]
fn an_invalid_key_and_no_key_are_different_outcomes() {
    let name = HeaderName::from_static("x-session-id");
    for (value, expected) in [
        ("chat 1", Outcome::InvalidKey),
        (" ", Outcome::NoKey),
        ("chat-1", Outcome::NothingRemembered),
    ] {
        let heard = Told::default();
        let told = heard.0.clone();
        let layer = layer()
            .or(FromHeaders::new([name.clone()]))
            .on_outcome(move |outcome| told.lock().unwrap().push(outcome));
        let request = Request::get(A).header(&name, value).body(()).unwrap();
        send(&client(&layer), request, answer(200, None));
        assert_eq!(heard.take()[0], expected, "{value:?}");
    }
}

#[test]
fn a_request_of_a_session_has_one_outcome_and_its_response_a_second_one() {
    use Outcome::{
        Changed, Echoed, Failed, ForgottenStatus, InvalidToken, Issued, NotIssued,
        NothingRemembered, Unchanged,
    };
    let too_long = "t".repeat(4097);
    for (status, token, to_none, to_t1) in [
        (200, Some("t1"), Issued, Unchanged),
        (200, Some("t2"), Issued, Changed),
        (200, None, NotIssued, Unchanged),
        (200, Some(" "), NotIssued, Unchanged),
        (200, Some(too_long.as_str()), InvalidToken, InvalidToken),
        (503, Some("t1"), Issued, ForgottenStatus),
        (503, Some("t2"), Issued, Changed),
        (503, None, NotIssued, ForgottenStatus),
        (502, Some("t1"), Issued, Failed),
        (502, Some("t2"), Issued, Changed),
        (502, None, Failed, Failed),
        (502, Some(too_long.as_str()), Failed, Failed),
    ] {
        let first = told(layer(), turn(A, "chat-1"), status, token);
        assert_eq!(first, [NothingRemembered, to_none], "{status} {token:?}");
        let later = told(remembering(layer()), turn(A, "chat-1"), status, token);
        assert_eq!(later, [Echoed, to_t1], "{status} {token:?}");
    }
}

#[test]
fn opening_a_session_and_sending_a_token_are_different_outcomes() {
    let opening = || layer().opening(HeaderValue::from_static("NEW"));
    let first = told(opening(), turn(A, "chat-1"), 200, Some("t1"));
    assert_eq!(first, [Outcome::Opened, Outcome::Issued]);
    let later = told(remembering(opening()), turn(A, "chat-1"), 200, None);
    assert_eq!(later, [Outcome::Echoed, Outcome::Unchanged]);
}

#[test]
fn a_full_map_is_reported_and_its_response_is_read() {
    let full = || {
        let mut request = turn(A, "chat-1");
        let names = (0..24_576).map(|i| HeaderName::try_from(format!("x-{i}")).unwrap());
        let headers = names.map(|name| (name, HeaderValue::from(0)));
        request.headers_mut().extend(headers);
        request
    };
    let no_room = told(remembering(layer()), full(), 200, Some("t2"));
    assert_eq!(no_room, [Outcome::MapFull, Outcome::Issued]);
    let nothing_to_send = told(layer(), full(), 200, None);
    assert_eq!(
        nothing_to_send,
        [Outcome::NothingRemembered, Outcome::NotIssued]
    );
}

#[test]
fn a_later_token_is_reported_if_the_first_one_wins() {
    let layer = remembering(layer().first_token_wins());
    let told = told(layer, turn(A, "chat-1"), 200, Some("t2"));
    assert_eq!(told, [Outcome::Echoed, Outcome::NotFirst]);
}

#[test]
fn the_reason_why_a_token_is_forgotten_is_reported() {
    let closed = HeaderName::from_static("x-closed");
    let layer = || layer().closed_header(closed.clone());
    let over = |_: &[u8]| Some(Duration::ZERO);
    let expired = told(
        remembering(layer()).lifetime(over),
        turn(A, "chat-1"),
        200,
        Some("t1"),
    );
    assert_eq!(expired, [Outcome::Echoed, Outcome::ForgottenExpired]);

    let heard = Told::default();
    let listening = heard.hear(remembering(layer()));
    let mut closing = answer(503, None);
    closing.headers_mut().insert(&closed, "t1".parse().unwrap());
    send(&client(&listening), turn(A, "chat-1"), closing);
    assert_eq!(heard.take(), [Outcome::Echoed, Outcome::ForgottenClosed]);

    let listening = heard.hear(remembering(layer()));
    InFlight::send(&listening, turn(A, "chat-1")).fail();
    assert_eq!(heard.take(), [Outcome::Echoed, Outcome::Failed]);
    drop(InFlight::send(&listening, turn(A, "chat-1")));
    assert_eq!(heard.take(), [Outcome::Echoed, Outcome::ForgottenFailures]);
}

#[test]
fn a_first_request_that_fails_is_reported() {
    let heard = Told::default();
    let layer = heard.hear(layer());
    InFlight::send(&layer, turn(A, "chat-1")).fail();
    drop(InFlight::send(&layer, turn(A, "chat-1")));
    let once = [Outcome::NothingRemembered, Outcome::Failed];
    assert_eq!(heard.take(), [once, once].concat());
    drop(InFlight::call(&layer, turn(A, "chat-1")));
    assert_eq!(heard.take(), [Outcome::NothingRemembered], "never polled");
}

#[test]
fn a_late_response_with_a_forgotten_token_is_reported() {
    let heard = Told::default();
    let layer = heard.hear(layer());
    let slow = InFlight::send(&layer, turn(A, "chat-1"));
    issue(&client(&layer), A, "chat-1", "t1");
    send(&client(&layer), turn(A, "chat-1"), answer(410, None));
    heard.take();
    slow.answer(200, Some("t1"));
    assert_eq!(heard.take(), [Outcome::Stale]);
}

#[test]
fn a_second_hook_replaces_the_first() {
    let (first, second) = (Told::default(), Told::default());
    let layer = second.hear(first.hear(layer()));
    send(&client(&layer), turn(A, "chat-1"), answer(200, None));
    assert_eq!(first.take(), []);
    assert_eq!(second.take().len(), 2);
}

#[test]
fn debug_shows_whether_there_is_a_hook() {
    let without = format!("{:?}", layer());
    let with = format!("{:?}", Told::default().hear(layer()));
    assert!(without.contains("has_hook: false"), "{without}");
    assert!(with.contains("has_hook: true"), "{with}");
}

#[test]
fn the_name_of_an_outcome_is_its_variant_in_snake_case() {
    for outcome in Outcome::ALL {
        let mut name = String::new();
        for letter in format!("{outcome:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        assert_eq!(outcome.as_str(), name);
    }
}

#[test]
fn all_contains_each_outcome_once() {
    let names: BTreeSet<_> = Outcome::ALL.map(Outcome::as_str).into();
    assert_eq!(names.len(), Outcome::ALL.len());
    let source = include_str!("../src/outcome.rs");
    let (variants, _) = source
        .split_once("pub enum Outcome {")
        .unwrap()
        .1
        .split_once("\n}")
        .unwrap();
    let variants = variants.lines().filter(|line| line.ends_with(','));
    assert_eq!(variants.count(), Outcome::ALL.len());
}

#[test]
fn under_replace_a_callers_own_token_is_not_reported_as_kept() {
    let layer = layer().merge_policy(MergePolicy::Replace);
    let mut own = turn(A, "chat-1");
    own.headers_mut().insert(TOKEN, "own".parse().unwrap());
    let told = told(layer, own, 200, None);
    assert_eq!(told, [Outcome::NothingRemembered, Outcome::NotIssued]);
}

//! Tokens that are followed by attributes.

use std::time::{Duration, SystemTime};

use support::{InFlight, TOKEN, answer, client, issue, send, sent, turn};
use tower_affinity_token::{
    AffinityTokenLayer, MemoryStore, attributes,
    header::{X_AMZN_SAGEMAKER_CLOSED_SESSION_ID as CLOSED, X_SESSION_TOKEN},
};

mod support;

const A: &str = "https://a.example/invocations";
const PAST: &str = "2023-11-26T15:00:00Z";
const FUTURE: &str = "2999-11-26T15:00:00Z";

fn layer() -> AffinityTokenLayer {
    AffinityTokenLayer::new(X_SESSION_TOKEN)
        .token_part(attributes::token)
        .lifetime(attributes::lifetime)
        .closed_header(CLOSED)
}

fn closed(status: u16, id: &str, token: Option<&str>) -> http::Response<()> {
    let mut answer = answer(status, token);
    answer.headers_mut().append(CLOSED, id.parse().unwrap());
    answer
}

#[test]
fn the_token_is_the_part_before_the_first_semicolon() {
    for (value, expected) in [
        ("s-1", "s-1"),
        ("s-1;", "s-1"),
        (" s-1 ; a; b", "s-1"),
        ("a b; c", "a b"),
        ("", ""),
        ("; Expires=never", ""),
    ] {
        assert_eq!(attributes::token(value.as_bytes()), expected.as_bytes());
    }
}

#[test]
fn a_lifetime_is_read_from_max_age_or_else_from_expires() {
    let zero = Some(Duration::ZERO);
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (value, expected) in [
        ("s", None),
        ("Max-Age=5", None),
        ("s; Max-Age=5", seconds(5)),
        ("s;max-age= 5 ", seconds(5)),
        ("s; MAX-AGE=\"5\"", seconds(5)),
        ("s; Max-Age=0", zero),
        ("s; Max-Age=-1", zero),
        ("s; Max-Age=99999999999999999999", seconds(u64::MAX)),
        ("s; Max-Age=5; Max-Age=6", seconds(5)),
        ("s; Max-Age=soon; Max-Age=6", seconds(6)),
        ("s; Max-Age=; Max-Age", None),
        ("s; Max-Age=+5; Max-Age=-; Max-Age=5.5", None),
        ("s; Expires=2023-11-26T15:00:00Z", zero),
        ("s; expires = 2023-11-26T15:00:00Z ; x", zero),
        ("s; Expires=2023-11-26T15:00:00.25Z", zero),
        ("s; Expires=Sun, 26 Nov 2023 15:00:00 GMT", zero),
        ("s; Expires=Sunday, 26-Nov-23 15:00:00 GMT", zero),
        ("s; Expires=Sun Nov 26 15:00:00 2023", zero),
        ("s; Expires=2023-11-26T15:00:00Z; Max-Age=5", seconds(5)),
        ("s; Max-Age=soon; Expires=2023-11-26T15:00:00Z", zero),
        ("s; Expires=never", None),
        ("s; Expires=", None),
        ("s; Expires=2023-13-26T15:00:00Z", None),
        ("s; NotExpires=2023-11-26T15:00:00Z", None),
    ] {
        assert_eq!(attributes::lifetime(value.as_bytes()), expected, "{value}");
    }
}

#[test]
fn a_future_date_gives_the_time_that_remains_until_it() {
    let then = SystemTime::now() + Duration::from_secs(86_400);
    let rfc_3339 = humantime::format_rfc3339_nanos(then).to_string();
    let http = httpdate::fmt_http_date(then);
    for date in [rfc_3339, http] {
        let value = format!("s; Expires={date}");
        let lifetime = attributes::lifetime(value.as_bytes()).unwrap();
        // A slow machine can only make it shorter; an HTTP date loses up to a second.
        assert!(lifetime <= Duration::from_secs(86_400), "{lifetime:?}");
        let left = then.duration_since(SystemTime::now()).unwrap_or_default();
        assert!(lifetime + Duration::from_secs(1) >= left, "{lifetime:?}");
    }
}

#[test]
fn attributes_that_are_not_text_are_skipped() {
    assert_eq!(
        attributes::lifetime(b"\xff; \xff=1; Max-Age=5"),
        Some(Duration::from_secs(5))
    );
    assert_eq!(attributes::token(b"\xff; x"), b"\xff");
}

#[test]
fn an_expired_token_is_not_remembered() {
    let client = client(&layer());
    issue(&client, A, "chat-1", &format!("s-1; Expires={PAST}"));
    assert_eq!(sent(&client, A, "chat-1"), None);
    issue(&client, A, "chat-1", "s-1; Max-Age=0");
    assert_eq!(sent(&client, A, "chat-1"), None);
    issue(&client, A, "chat-1", &format!("s-1; Expires={FUTURE}"));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("s-1"));
}

#[test]
fn a_token_that_is_repeated_as_expired_is_forgotten() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "s-1");
    issue(&client, A, "chat-1", &format!("s-1; Expires={PAST}"));
    assert_eq!(sent(&client, A, "chat-1"), None);
}

#[test]
fn an_expired_token_does_not_replace_a_remembered_one() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "s-1");
    issue(&client, A, "chat-1", &format!("s-2; Expires={PAST}"));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("s-1"));
}

#[test]
fn the_first_unexpired_value_counts() {
    let client = client(&layer());
    let mut several = answer(200, Some("s-1; Max-Age=0"));
    let valid = "s-2; Max-Age=600".parse().unwrap();
    several.headers_mut().append(TOKEN, valid);
    send(&client, turn(A, "chat-1"), several);
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("s-2"));
}

#[test]
fn a_valid_token_after_the_expired_one_that_was_sent_replaces_it() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "s-1");
    let mut several = answer(200, Some("s-1; Max-Age=0"));
    for value in ["; x", "s-2; Max-Age=600"] {
        several.headers_mut().append(TOKEN, value.parse().unwrap());
    }
    send(&client, turn(A, "chat-1"), several);
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("s-2"));
}

#[test]
fn an_invalid_value_after_the_expired_token_that_was_sent_does_not_save_it() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "s-1");
    let mut several = answer(200, Some("s-1; Max-Age=0"));
    several.headers_mut().append(TOKEN, "; x".parse().unwrap());
    send(&client, turn(A, "chat-1"), several);
    assert_eq!(sent(&client, A, "chat-1"), None);
}

#[test]
fn a_token_is_not_sent_after_its_lifetime() {
    let lifetime = |_: &[u8]| Some(Duration::from_millis(20));
    let client = client(&AffinityTokenLayer::new(TOKEN).lifetime(lifetime));
    issue(&client, A, "chat-1", "t1");
    std::thread::sleep(Duration::from_millis(40));
    assert_eq!(sent(&client, A, "chat-1"), None);
}

#[test]
fn a_response_that_repeats_the_token_extends_its_lifetime() {
    let client = client(&layer());
    // Still in the future when it is read, and in the past after the sleep.
    let soon = SystemTime::now() + Duration::from_millis(200);
    let soon = humantime::format_rfc3339_nanos(soon);
    issue(&client, A, "chat-1", &format!("s-1; Expires={soon}"));
    issue(&client, A, "chat-1", "s-1; Max-Age=600");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("s-1"));
}

#[test]
fn a_late_response_extends_neither_a_forgotten_nor_a_replaced_token() {
    let layer = layer();
    let flight = || InFlight::<MemoryStore>::send(&layer, turn(A, "chat-1"));
    issue(&client(&layer), A, "chat-1", "s-1");
    let (slow, dead) = (flight(), flight());
    dead.answer(410, None);
    slow.answer(200, Some("s-1; Max-Age=600"));
    assert_eq!(sent(&client(&layer), A, "chat-1"), None);

    issue(&client(&layer), A, "chat-1", "s-2");
    let slow = flight();
    issue(&client(&layer), A, "chat-1", "s-3");
    slow.answer(200, Some("s-2; Max-Age=600"));
    assert_eq!(sent(&client(&layer), A, "chat-1").as_deref(), Some("s-3"));
}

#[test]
fn a_closed_session_is_forgotten_whatever_the_status() {
    for status in [200, 400, 424, 500] {
        let client = client(&layer());
        issue(&client, A, "chat-1", "s-1");
        send(&client, turn(A, "chat-1"), closed(status, "s-1", None));
        assert_eq!(sent(&client, A, "chat-1"), None, "{status}");
    }
}

#[test]
fn every_value_of_the_closed_header_is_read_without_its_attributes() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "s-1");
    let mut several = closed(200, "s-0", None);
    let ours = "s-1; Reason=done".parse().unwrap();
    several.headers_mut().append(CLOSED, ours);
    send(&client, turn(A, "chat-1"), several);
    assert_eq!(sent(&client, A, "chat-1"), None);
}

#[test]
fn closing_a_different_session_forgets_nothing() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "s-1");
    issue(&client, A, "chat-2", "s-2");
    for id in ["s-2", "s-11", "S-1", " ", "s-1x"] {
        send(&client, turn(A, "chat-1"), closed(200, id, None));
        assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("s-1"), "{id}");
    }
    assert_eq!(sent(&client, A, "chat-2").as_deref(), Some("s-2"));
}

#[test]
fn a_response_can_close_a_session_and_issue_a_new_one() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "s-1");
    send(&client, turn(A, "chat-1"), closed(200, "s-1", Some("s-2")));
    assert_eq!(sent(&client, A, "chat-1").as_deref(), Some("s-2"));
}

#[test]
fn a_closed_session_is_forgotten_even_if_the_response_repeats_its_token() {
    let client = client(&layer());
    issue(&client, A, "chat-1", "s-1");
    send(&client, turn(A, "chat-1"), closed(200, "s-1", Some("s-1")));
    assert_eq!(sent(&client, A, "chat-1"), None);
}

#[test]
fn a_closed_session_is_forgotten_even_if_the_request_had_no_token() {
    let layer = layer();
    let early = InFlight::send(&layer, turn(A, "chat-1"));
    issue(&client(&layer), A, "chat-1", "s-1");
    early.answer_with(closed(200, "s-1", None));
    assert_eq!(sent(&client(&layer), A, "chat-1"), None);
}

#[test]
fn by_default_neither_the_closed_header_nor_attributes_are_read() {
    let client = client(&AffinityTokenLayer::new(TOKEN));
    let value = format!("s-1; Expires={PAST}");
    issue(&client, A, "chat-1", &value);
    send(&client, turn(A, "chat-1"), closed(200, &value, None));
    assert_eq!(sent(&client, A, "chat-1"), Some(value));
}

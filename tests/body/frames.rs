//! When each byte is sent: all at once, except for the closing brace.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use tower_session_affinity::{FieldBody, PromptCacheKeyLayer};

use crate::script::{Script, Step};
use crate::{KEY, MEMBER, chat, read, send};

fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

fn body<B: Body>(inner: B) -> FieldBody<B> {
    send(&PromptCacheKeyLayer::new().or(KEY), chat(inner)).into_body()
}

/// Returns the next frame, or `None` at the end. Panics if the body is pending.
fn next<B>(body: &mut B) -> Option<Result<Frame<Bytes>, B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    body.frame()
        .now_or_never()
        .expect("the body is ready at once")
}

/// Returns all data until the body is pending or ends.
fn pieces<B>(body: &mut B) -> Vec<Bytes>
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
{
    let data = |body: &mut B| body.frame().now_or_never()??.unwrap().into_data().ok();
    std::iter::from_fn(|| data(body)).collect()
}

#[test]
fn each_chunk_is_sent_before_the_next_one_arrives() {
    let steps = [
        data(r#"{"mes"#),
        Step::Wait,
        data(r#"sages":[{"a":"b"#),
        Step::Wait,
        data("\\"),
        Step::Wait,
        data("\"\"}] "),
        Step::Wait,
        data(r#","model":"gpt-5" } "#),
        Step::Wait,
        data("\n"),
        Step::Wait,
    ];
    let mut body = body(Script::new(steps));
    assert_eq!(pieces(&mut body), [r#"{"mes"#]);
    assert_eq!(pieces(&mut body), [r#"sages":[{"a":"b"#]);
    assert_eq!(pieces(&mut body), ["\\"]);
    assert_eq!(pieces(&mut body), ["\"\"}] "]);
    assert_eq!(pieces(&mut body), [r#","model":"gpt-5" "#]);
    assert!(pieces(&mut body).is_empty());
    assert_eq!(pieces(&mut body), [MEMBER, "} \n"]);
    assert!(body.is_end_stream());
}

#[test]
fn held_back_bytes_are_sent_as_soon_as_more_text_follows() {
    let steps = [
        data(r#"{"a":1}"#),
        Step::Wait,
        data(" "),
        Step::Wait,
        data("x"),
        Step::Wait,
    ];
    let mut body = body(Script::new(steps));
    assert_eq!(pieces(&mut body), [r#"{"a":1"#]);
    assert!(pieces(&mut body).is_empty());
    assert_eq!(pieces(&mut body), ["} ", "x"]);
    let spaces = " ".repeat(MEMBER.len());
    assert_eq!(pieces(&mut body), [spaces]);
}

#[test]
fn at_most_1023_bytes_of_white_space_are_held_back() {
    let space = |len| Step::Data(Bytes::from(" ".repeat(len)));
    let steps = [
        data(r#"{"a":1}"#),
        space(1023),
        Step::Wait,
        space(1),
        Step::Wait,
    ];
    let mut body = body(Script::new(steps));
    assert_eq!(pieces(&mut body), [r#"{"a":1"#]);
    let held = format!("}}{}", " ".repeat(1024));
    assert_eq!(pieces(&mut body), [MEMBER.to_owned(), held]);
}

/// A body of one piece that knows that nothing follows.
struct Once(Option<Bytes>);

impl Body for Once {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.take().expect("not polled again after its end");
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

#[test]
fn a_body_that_knows_its_end_is_not_polled_again() {
    let mut body = body(Once(Some(Bytes::from_static(br#"{"a":1}"#))));
    assert_eq!(pieces(&mut body), [r#"{"a":1"#, MEMBER, "}"]);
    assert!(body.is_end_stream());
}

#[test]
fn the_callers_bytes_are_sent_without_a_copy() {
    let text = Bytes::from(format!(r#"{{"a":"{}"}}"#, "x".repeat(100)));
    let (first, second) = (text.slice(..50), text.slice(50..));
    let steps = [first.clone(), second.clone()].map(Step::Data);
    let pieces = pieces(&mut body(Script::new(steps)));
    assert_eq!(pieces[0].as_ptr(), first.as_ptr());
    assert_eq!(pieces[1].as_ptr(), second.as_ptr());
    assert_eq!(pieces[2], MEMBER);
    assert_eq!(pieces[3].as_ptr(), text[text.len() - 1..].as_ptr());
}

#[test]
fn a_body_whose_data_is_not_bytes_is_supported() {
    // In two pieces: reading only the first one would miss the rest.
    let mut halves: VecDeque<u8> = br#"a":1}"#.iter().copied().collect();
    for byte in br#"{""#.iter().rev() {
        halves.push_front(*byte);
    }
    let arrived = read(body(Full::new(halves)));
    assert_eq!(arrived, format!(r#"{{"a":1{MEMBER}}}"#).into_bytes());
}

#[test]
fn trailers_come_last_and_unchanged() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("7"));
    let steps = [
        data(r#"{"a":1}"#),
        data(" "),
        Step::Trailers(trailers.clone()),
    ];
    let mut body = body(Script::new(steps));
    assert_eq!(pieces(&mut body), [r#"{"a":1"#, MEMBER, "} "]);
    // `pieces` stopped at the trailers.
    assert!(body.is_end_stream());

    let steps = [data("[]"), Step::Trailers(trailers.clone())];
    let collected = self::body(Script::new(steps))
        .collect()
        .now_or_never()
        .unwrap()
        .unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
    let expected = format!("[]{}", " ".repeat(MEMBER.len()));
    assert_eq!(collected.to_bytes(), expected);
}

#[test]
fn nothing_is_added_to_a_body_with_only_trailers() {
    let trailers = HeaderMap::from_iter([(http::header::AGE, HeaderValue::from_static("1"))]);
    let mut body = body(Script::new([Step::Trailers(trailers.clone())]));
    let frame = next(&mut body).unwrap().unwrap();
    assert_eq!(frame.into_trailers().ok(), Some(trailers));
    assert!(next(&mut body).is_none());
}

#[test]
fn an_error_of_the_callers_body_passes_through() {
    for before in ["", r#"{"a"#, r#"{"a":1}"#, "[]"] {
        let steps = [data(before), Step::Error("broken"), data("afterwards")];
        let mut body = body(Script::new(steps));
        let mut text = Vec::new();
        let error = loop {
            match next(&mut body).unwrap() {
                Ok(frame) => text.extend(frame.into_data().unwrap()),
                Err(error) => break error,
            }
        };
        assert_eq!(error, "broken");
        // Neither the field nor padding follows, so that the body does not look complete.
        assert!(before.as_bytes().starts_with(&text), "{before}");
        assert_eq!(pieces(&mut body), ["afterwards"]);
    }
}

#[test]
fn the_size_hint_stays_exact_if_the_callers_is() {
    for text in [
        r#"{"a":1} "#,
        "{}",
        "[]",
        r#"{"prompt_cache_key":1}"#,
        "{} x",
        "{",
    ] {
        for knows_its_end in [true, false] {
            let steps = text.bytes().map(|byte| Step::Data(vec![byte].into()));
            let mut script = Script::new(steps).knowing_its_length();
            if knows_its_end {
                script = script.knowing_its_end();
            }
            let mut body = body(script);
            let mut left = text.len() + MEMBER.len();
            assert_eq!(body.size_hint().exact(), Some(left as u64), "{text}");
            while let Some(frame) = next(&mut body) {
                assert!(
                    left > 0,
                    "{text}: expected no frame after the announced length"
                );
                left -= frame.unwrap().into_data().unwrap().len();
                assert_eq!(body.size_hint().exact(), Some(left as u64), "{text}");
            }
            assert_eq!(left, 0, "{text}");
        }
    }
}

#[test]
fn the_size_hint_holds_if_the_length_is_unknown() {
    for text in [r#"{"a":1} "#, "[]", "{} x", ""] {
        let steps = text.bytes().map(|byte| Step::Data(vec![byte].into()));
        let mut body = body(Script::new(steps));
        let mut hints = vec![(body.size_hint(), 0)];
        let mut sent = 0;
        while let Some(frame) = next(&mut body) {
            sent += frame.unwrap().into_data().unwrap().len() as u64;
            hints.push((body.size_hint(), sent));
        }
        assert_eq!(hints[0].0.upper(), None);
        for (hint, before) in hints {
            let left = sent - before;
            assert!(
                hint.lower() <= left,
                "{text}: expected at most {left}, found {hint:?}"
            );
            assert!(
                hint.upper().is_none_or(|upper| left <= upper),
                "{text}: expected at least {left}, found {hint:?}"
            );
        }
    }
}

#[test]
fn an_empty_body_stays_empty() {
    assert!(body(Empty::<Bytes>::new()).is_end_stream());
    assert_eq!(body(Full::<Bytes>::default()).size_hint().exact(), Some(0));
    assert!(read(body(Script::new([]))).is_empty());
    assert!(read(body(Script::new([]).knowing_its_end())).is_empty());
    assert!(read(body(Script::new([]).knowing_its_length())).is_empty());
    assert!(read(body(Script::new([data(""), data("")]).knowing_its_end())).is_empty());
}

#[test]
fn a_body_shorter_than_its_announced_length_stays_too_short() {
    let layer = PromptCacheKeyLayer::new().or(KEY);
    let mut request = chat(Script::new([data(r#"{"a":1}"#)]));
    request
        .headers_mut()
        .insert("content-length", HeaderValue::from(20));
    let sent = send(&layer, request);
    assert_eq!(
        sent.headers()["content-length"],
        (20 + MEMBER.len()).to_string()
    );
    assert_eq!(
        read(sent.into_body()).len(),
        7 + MEMBER.len(),
        "expected the caller's 7 bytes and the field"
    );
}

#[test]
fn a_clone_sends_the_same_bytes() {
    let original = body(Full::<Bytes>::from(r#"{"a":1}"#));
    let again = original.clone();
    assert_eq!(read(original), read(again));
}

#[test]
fn a_body_not_made_by_the_layer_passes_through_unchanged() {
    let text = Bytes::from_static(b"{}");
    let mut body = FieldBody::from(Full::new(text.clone()));
    assert_eq!(body.size_hint().exact(), Some(2));
    assert_eq!(pieces(&mut body)[0].as_ptr(), text.as_ptr());
    assert!(FieldBody::<Empty<Bytes>>::default().is_end_stream());
}

#[test]
fn debug_shows_neither_the_body_nor_the_key() {
    let body = body(Full::<Bytes>::from(r#"{"a":1}"#));
    assert_eq!(format!("{body:?}"), "FieldBody { .. }");
}

//! Any object in any chunks, compared with `serde_json`.

use std::iter;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use tower_session_affinity::PromptCacheKeyLayer;

use crate::script::{Script, Step};
use crate::{KEY, MEMBER, chat, read, send};

/// An object as text, with what the test knows about it.
#[derive(Clone, Debug)]
struct Object {
    text: String,
    /// The index of the closing brace.
    brace: usize,
    is_empty: bool,
    has_field: bool,
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n\t"), 1 => Just(" \r\n  ")]
        .prop_map(str::to_owned)
}

/// The contents of a string, with escapes.
fn characters() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -!#-\\[\\]-~]{0,12}",
        1 => Just(r#"\""#.to_owned()),
        1 => Just(r"\\".to_owned()),
        1 => Just(r"\u007d\n\/".to_owned()),
        1 => Just("é🦀}{][".to_owned()),
        1 => Just("long ".repeat(20)),
    ];
    vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("-0.5E+10".to_owned()),
        characters().prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(6, 24, 4, |inner| {
        let member = (characters(), inner.clone(), space());
        let member = member.prop_map(|(name, value, space)| format!("\"{name}\":{space}{value}"));
        prop_oneof![
            (vec(inner, 0..4), space()).prop_map(|(values, space)| {
                format!("[{space}{}]", values.join(&format!("{space},")))
            }),
            (vec(member, 0..4), space()).prop_map(|(members, space)| {
                format!("{{{}{space}}}", members.join(&format!(",{space}")))
            }),
        ]
    })
}

/// A name without escapes: often the field itself or a similar one.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-z_ ]{0,18}",
        1 => Just("prompt_cache_ke".to_owned()),
        1 => Just("prompt_cache_key_".to_owned()),
        1 => Just("prompt_cache_key".to_owned()),
        1 => Just("né".to_owned()),
    ]
}

fn object() -> impl Strategy<Value = Object> {
    let member = (space(), name(), space(), space(), value(), space());
    let outside = (
        prop_oneof![9 => Just(""), 1 => Just("\u{feff}")],
        space(),
        space(),
    );
    (vec(member, 0..5), outside).prop_map(|(members, (mark, before, behind))| {
        let is_empty = members.is_empty();
        let has_field = members
            .iter()
            .any(|(_, name, ..)| name == "prompt_cache_key");
        let members: Vec<_> = members
            .iter()
            .map(|(a, name, b, c, value, d)| format!("{a}\"{name}\"{b}:{c}{value}{d}"))
            .collect();
        let text = format!("{mark}{before}{{{}", members.join(","));
        Object {
            brace: text.len(),
            text: format!("{text}}}{behind}"),
            is_empty,
            has_field,
        }
    })
}

/// Cuts a text at the places given by the seeds.
fn chunks(text: &[u8], seeds: &[prop::sample::Index]) -> Vec<Bytes> {
    let mut cuts: Vec<_> = seeds
        .iter()
        .map(|seed| seed.index(text.len() + 1))
        .collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    let pairs = cuts.windows(2);
    pairs
        .map(|pair| Bytes::copy_from_slice(&text[pair[0]..pair[1]]))
        .collect()
}

/// Returns the body that arrives, after asserting that it has the announced length.
fn arriving(chunks: Vec<Bytes>, knows_its_end: bool) -> Vec<u8> {
    let mut script = Script::new(chunks.into_iter().map(Step::Data)).knowing_its_length();
    if knows_its_end {
        script = script.knowing_its_end();
    }
    let layer = PromptCacheKeyLayer::new().or(KEY);
    let body = send(&layer, chat(script)).into_body();
    let announced = http_body::Body::size_hint(&body).exact().unwrap();
    let arrived = read(body);
    assert_eq!(
        arrived.len() as u64,
        announced,
        "expected the announced length"
    );
    arrived
}

fn parse(text: &[u8]) -> Option<Value> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    serde_json::from_slice(text).ok()
}

fn padded(text: &[u8]) -> Vec<u8> {
    text.iter()
        .copied()
        .chain(iter::repeat_n(b' ', MEMBER.len()))
        .collect()
}

proptest! {
    #[test]
    fn an_object_arrives_with_one_more_member_and_is_otherwise_unchanged(
        object in object(),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
        knows_its_end: bool,
    ) {
        let text = object.text.as_bytes();
        let arrived = arriving(chunks(text, &cuts), knows_its_end);
        let mut expected = parse(text).expect("an object");
        if object.has_field {
            prop_assert_eq!(&arrived, &padded(text));
        } else {
            let member = if object.is_empty { MEMBER.replace(',', " ") } else { MEMBER.to_owned() };
            let (before, end) = text.split_at(object.brace);
            prop_assert_eq!(&arrived, &[before, member.as_bytes(), end].concat());
            let members = expected.as_object_mut().unwrap();
            members.insert("prompt_cache_key".to_owned(), "chat-7".into());
        }
        let parsed = parse(&arrived).expect("an object");
        // Compared as text, so that order matters.
        prop_assert_eq!(parsed.to_string(), expected.to_string());
    }

    #[test]
    fn single_bytes_give_the_same_result_as_one_chunk(object in object()) {
        let text = object.text.as_bytes();
        let bytes = text.iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect();
        let at_once = vec![Bytes::copy_from_slice(text)];
        prop_assert_eq!(arriving(bytes, false), arriving(at_once, false));
    }

    #[test]
    fn a_truncated_object_does_not_get_the_field(
        object in object(),
        end in any::<prop::sample::Index>(),
        cuts in vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let text = &object.text.as_bytes()[..end.index(object.brace + 1)];
        prop_assume!(!text.is_empty());
        prop_assert_eq!(arriving(chunks(text, &cuts), false), padded(text));
    }

    #[test]
    fn any_text_arrives_whole_and_only_an_object_gets_the_field(
        object in object(),
        place in any::<prop::sample::Index>(),
        bytes in vec(prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:\\ 1a/"[..])], 1..3),
        cuts in vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let mut text = object.text.into_bytes();
        let place = place.index(text.len() + 1);
        let until = (place + bytes.len()).min(text.len());
        text.splice(place..until, bytes);
        let arrived = arriving(chunks(&text, &cuts), false);
        if arrived == padded(&text) {
            return Ok(());
        }
        // The field is there, and the text around it is unchanged.
        let brace = text.iter().rposition(|byte| *byte == b'}').expect("the end of an object");
        let (before, end) = text.split_at(brace);
        let is_member = |first| {
            let member = MEMBER.replacen(',', first, 1);
            arrived == [before, member.as_bytes(), end].concat()
        };
        prop_assert!(is_member(",") || is_member(" "));
        prop_assert!(end[1..].iter().all(u8::is_ascii_whitespace));
        if let Some(value) = parse(&text) {
            prop_assert!(value.get("prompt_cache_key").is_none());
            prop_assert_eq!(&parse(&arrived).unwrap()["prompt_cache_key"], "chat-7");
        }
    }
}

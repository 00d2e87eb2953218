//! What arrives for each kind of text.

use bytes::Bytes;
use http_body_util::Full;
use tower_session_affinity::{AffinityKey, PromptCacheKeyLayer};

use crate::{MEMBER, arriving, chat, padded, read, send};

#[test]
fn the_member_is_written_before_the_closing_brace() {
    for (before, end) in [
        (r#"{"model":"gpt-5""#, "}"),
        (r#"{"a":{"b":[{"c":"}"}]},"d":[[]]"#, "}"),
        (r#" { "a" : 1 , "b" : [ ] "#, "} \r\n\t"),
        (r#"{"a":-1.5e+3,"b":true,"c":null"#, "}"),
        (r#"{"a":"""#, "}"),
        (r#"{"a":"\\""#, "}"),
        (r#"{"a":"\"}","b":"\\\"{""#, "}"),
        (r#"{"a":"é🦀\u007d""#, "}\n"),
        (r#"{"a":1,"a":2"#, "}"),
        ("\u{feff}{\"a\":1", "}"),
        ("{\"a\":1\n", "}\n"),
    ] {
        let text = format!("{before}{end}");
        assert_eq!(
            arriving([&text]),
            format!("{before}{MEMBER}{end}"),
            "{text}"
        );
    }
}

#[test]
fn an_empty_object_gets_a_space_for_the_comma() {
    let member = MEMBER.replacen(',', " ", 1);
    assert_eq!(arriving(["{}"]), format!("{{{member}}}"));
    assert_eq!(arriving([" { \n} "]), format!(" {{ \n{member}}} "));
}

#[test]
fn an_existing_field_is_kept_and_none_is_added() {
    for text in [
        r#"{"prompt_cache_key":"theirs"}"#,
        r#"{"prompt_cache_key":null}"#,
        r#"{"prompt_cache_key":"","b":{}}"#,
        r#"{"a":[],"prompt_cache_key" : {"a":1} } "#,
        r#"{"prompt_cache_key":1,"prompt_cache_key":2}"#,
    ] {
        assert_eq!(arriving([text]), padded(text));
    }
}

#[test]
fn similar_names_are_not_the_field() {
    for name in [
        "",
        "prompt_cache",
        "prompt_cache_key2",
        "PROMPT_CACHE_KEY",
        "prompt_cache_key ",
        "xprompt_cache_key",
        "prompt_cache_kez",
    ] {
        let text = format!(r#"{{"{name}":1}}"#);
        assert!(
            arriving([&text]).ends_with(&format!("1{MEMBER}}}")),
            "{name}"
        );
    }
}

#[test]
fn only_a_top_level_name_is_the_field() {
    for before in [
        r#"{"a":{"prompt_cache_key":1}"#,
        r#"{"a":[{"prompt_cache_key":1}]"#,
        r#"{"a":"prompt_cache_key""#,
        r#"{"a":["prompt_cache_key"]"#,
        r#"{"a":"\"prompt_cache_key\":""#,
    ] {
        assert_eq!(
            arriving([&format!("{before}}}")]),
            format!("{before}{MEMBER}}}")
        );
    }
}

#[test]
fn a_top_level_name_with_an_escape_is_treated_as_the_field() {
    for name in [
        r"prompt_cache_ke\u0079",
        r"\u0070rompt_cache_key",
        r"a\n",
        r#"\""#,
    ] {
        let text = format!(r#"{{"{name}":1}}"#);
        assert_eq!(arriving([&text]), padded(&text), "{name}");
    }
    let nested = r#"{"a":{"b\u0063":1}"#;
    assert_eq!(
        arriving([&format!("{nested}}}")]),
        format!("{nested}{MEMBER}}}")
    );
}

#[test]
fn a_text_that_is_not_one_object_is_padded_with_spaces() {
    for text in [
        "[]",
        r#"[{"a":1}]"#,
        r#""{}""#,
        "1",
        "null",
        " ",
        "x{}",
        "\u{feff}",
        "\u{feff}\u{feff}{}",
        " \u{feff}{}",
        // Ends too early.
        "{",
        r#"{"a"#,
        r#"{"a":"#,
        r#"{"a":1"#,
        r#"{"a":1,"#,
        r#"{"a":"}"#,
        r#"{"a":"\"}"#,
        r#"{"a":{"b":1}"#,
        r#"{"a":[1}"#,
        // Ends too late.
        "{}{}",
        "{}}",
        "{} x",
        "{},",
        "{}\n{}\n",
        "{}\0",
        "{}\u{a0}",
        // Breaks the grammar of the top level.
        r#"{"a":1,}"#,
        r#"{,"a":1}"#,
        r#"{"a"}"#,
        r#"{"a" 1}"#,
        r#"{"a"::1}"#,
        r#"{"a":}"#,
        r#"{"a":,"b":1}"#,
        r#"{"a":1 2}"#,
        r#"{"a":1 "b":2}"#,
        r#"{"a":{}{}}"#,
        r#"{"a":""""}"#,
        r#"{"a":1]"#,
        "{a:1}",
        "{1:1}",
        "{:1}",
        "{[]:1}",
        "{'a':1}",
        // Not JSON, but notations that can hide brackets and quotes.
        r#"{/* } */"a":1}"#,
        "{\"a\":1 // }\n}",
        "{\"a\":[1 # ]\n]}",
        r#"{"a":['"']}"#,
        r#"{"a":`}`}"#,
        "{\"a\":[\0]}",
    ] {
        assert_eq!(arriving([text]), padded(text));
    }
}

#[test]
fn invalid_utf_8_in_an_object_arrives_unchanged() {
    let layer = PromptCacheKeyLayer::new().or(AffinityKey::from_static("k"));
    for (text, expected) in [
        (
            &b"{\"a\":\"\xff\xfe\""[..],
            &b"{\"a\":\"\xff\xfe\",\"prompt_cache_key\":\"k\"}"[..],
        ),
        (b"{\"\xff\":1", b"{\"\xff\":1,\"prompt_cache_key\":\"k\"}"),
    ] {
        let body = Full::new(Bytes::from([text, b"}"].concat()));
        assert_eq!(read(send(&layer, chat(body)).into_body()), expected);
    }
}

#[test]
fn a_key_with_quotes_and_backslashes_is_escaped() {
    let key = r#"a"b\c/d'e"#;
    let layer = PromptCacheKeyLayer::new().or(AffinityKey::from_static(key));
    let arrived = read(send(&layer, chat(Full::<Bytes>::from("{}"))).into_body());
    let arrived: serde_json::Value = serde_json::from_slice(&arrived).unwrap();
    assert_eq!(arrived["prompt_cache_key"], key);
}

#[test]
fn any_nesting_depth_is_read() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |depth| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        for depth in [1, 127, 128, 129, 100_000] {
            let before = format!(r#"{{"a":{}"#, nested(depth));
            let arrived = arriving([&before, "}"]);
            assert!(
                arrived == format!("{before}{MEMBER}}}"),
                "expected the field after {depth} levels of {open}"
            );
        }
    }
}

#[test]
fn a_string_of_megabytes_is_read() {
    let text = r#"a \"quoted\" line\n\\"#.repeat(200_000);
    let before = format!(r#"{{"name":0,"a":"{text}""#);
    let arrived = arriving([&before, "}"]);
    assert!(
        arrived == format!("{before}{MEMBER}}}"),
        "expected the field after the string"
    );
}

#[test]
fn chunk_boundaries_do_not_change_the_result() {
    for text in [
        r#" {"a\\":"\\\"","b":[{"c":"}"}] } "#,
        r#"{"b":[{"c":"\\}"},-1.5,true]	,"prompt_cache_ke":"\"}{\\" , "d":12 } "#,
        r#"{"a":1,"prompt_cache_key":"x"} "#,
        r#"{"a":1} {"b":2}"#,
        "\u{feff} { } ",
        "[1]",
    ] {
        let whole = arriving([text]);
        let cuts = (0..=text.len()).filter(|cut| text.is_char_boundary(*cut));
        for cut in cuts {
            let (first, second) = text.split_at(cut);
            assert_eq!(arriving([first, second]), whole, "cut at {cut}");
            assert_eq!(arriving([first, "", second]), whole, "cut at {cut}");
        }
    }
}

#[test]
fn any_amount_of_white_space_may_follow() {
    for len in [1, 100, 1023, 1024, 1025, 100_000] {
        let space = " \n\t\r".repeat(len).split_off(3 * len);
        for chunks in [
            vec![format!("{{\"a\":1}}{space}")],
            vec!["{\"a\":1".into(), format!("}}{space}")],
        ] {
            let layer = PromptCacheKeyLayer::new().or(crate::KEY);
            let body = crate::script::Script::of(chunks.iter().map(String::as_str));
            let arrived = read(send(&layer, chat(body)).into_body());
            assert!(
                arrived == format!("{{\"a\":1{MEMBER}}}{space}").into_bytes(),
                "expected the field and {len} bytes of white space"
            );
        }
    }
}

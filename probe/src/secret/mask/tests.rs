use data_encoding::{BASE64, BASE64URL_NOPAD, HEXUPPER};

use super::*;
use crate::secret::visible;

const KEY: &str = "sk-live/0123<456>789abc";

fn masked(text: &str) -> String {
    visible(&mask(text, &[(KEY.to_owned(), "[api key]")]))
}

fn each(format: impl Fn(char) -> String) -> String {
    KEY.chars().map(format).collect()
}

#[test]
fn the_key_is_masked_in_every_encoding_of_its_characters() {
    for (encoding, text) in [
        ("plain", KEY.to_owned()),
        ("upper case", KEY.to_uppercase()),
        ("JSON", KEY.replace('/', "\\/")),
        ("JSON in JSON", KEY.replace('/', "\\\\\\/")),
        ("JSON, all of it", each(|c| format!("\\u{:04x}", c as u32))),
        ("Rust", each(|c| format!("\\u{{{:x}}}", c as u32))),
        ("C", each(|c| format!("\\x{:02X}", c as u32))),
        ("octal", each(|c| format!("\\{:03o}", c as u32))),
        ("URL", KEY.replace('/', "%2F").replace('<', "%3c")),
        ("URL, twice", each(|c| format!("%25{:02X}", c as u32))),
        (
            "HTML",
            KEY.replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('/', "&#x2F;"),
        ),
        (
            "HTML, twice",
            KEY.replace('<', "&amp;lt;").replace('/', "&amp;#47;"),
        ),
        ("HTML, all of it", each(|c| format!("&#{};", c as u32))),
        ("quoted-printable", each(|c| format!("={:02X}", c as u32))),
        ("zero width", each(|c| format!("{c}\u{200b}"))),
        ("lines", KEY.replace('3', "3\r\n")),
        ("a part", KEY[3..14].to_owned()),
    ] {
        assert_eq!(
            masked(&format!("<<{text}>>")),
            "<<[api key]>>",
            "{encoding}: {text}"
        );
    }
}

#[test]
fn the_key_is_masked_inside_of_base64_and_hexadecimal_digits() {
    for around in ["", "a", "ab", "user:", "{\"authorization\":\"Bearer "] {
        let plain = format!("{around}{KEY}{around}");
        let escaped = plain.replace('/', "\\/");
        for text in [
            BASE64
                .encode(plain.as_bytes())
                .trim_end_matches('=')
                .to_owned(),
            BASE64URL_NOPAD.encode(plain.as_bytes()),
            BASE64
                .encode(escaped.as_bytes())
                .trim_end_matches('=')
                .to_owned(),
            BASE64URL_NOPAD.encode(BASE64URL_NOPAD.encode(plain.as_bytes()).as_bytes()),
            HEXUPPER.encode(plain.as_bytes()),
        ] {
            assert_eq!(
                masked(&format!("token: {text}, sorry")),
                "token: [api key], sorry",
                "{text}"
            );
        }
    }
}

#[test]
fn text_without_a_secret_is_unchanged() {
    for text in [
        "The model `m` does not exist: 100 % sure, \\o/ &c; see https://h/p%20q?a=b",
        r#"{"error":{"message":"sk-live keys need a plan"}}"#,
        "VGhpcyBpcyBub3QgYSBrZXkgYXQgYWxs and 5a5a5a5a5a5a5a5a",
    ] {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn each_secret_has_its_own_replacement() {
    let secrets = [
        ("first-secret".to_owned(), "[api key]"),
        ("second-secret".to_owned(), "[header]"),
    ];
    assert_eq!(
        mask("first-secret and second-secret", &secrets),
        "[api key] and [header]"
    );
}

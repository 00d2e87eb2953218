//! Secrets in texts from outside, in every encoding that a server would use.
//!
//! A text is decoded in layers: as JSON, URLs, HTML and quoted-printable escape it, over and over. In each
//! layer a secret is looked for without regard to case and to what shows nothing, and runs of
//! base64 and hexadecimal digits are decoded, too. Each decoded character knows where it came from.

use std::ops::Range;
use std::slice;

use data_encoding::{BASE64_NOPAD, HEXLOWER_PERMISSIVE};

use super::visible::is_invisible;

/// How many layers of escapes are taken off.
const LAYERS: usize = 4;

/// How often a text may have been encoded in base64 or hexadecimal digits.
const DEPTH: u32 = 2;

/// The fewest characters of a secret that are masked, where only a part of it is shown.
const PART: usize = 8;

/// The characters of the longest escape that is read.
const LONGEST: usize = 12;

/// The shortest run that is looked at as base64 or hexadecimal.
const RUN: usize = 8;

/// A secret, and what is shown instead.
type Secret = (String, &'static str);

/// A decoded character, and the bytes that it came from.
#[derive(Clone, Debug)]
struct Unit {
    c: char,
    from: Range<usize>,
}

/// Replaces secrets, and parts of these, by what is shown instead.
pub(super) fn mask(text: &str, secrets: &[Secret]) -> String {
    mask_within(text, secrets, DEPTH)
}

fn mask_within(text: &str, secrets: &[Secret], depth: u32) -> String {
    let mut marked = vec![None; text.len()];
    let mut units: Vec<_> = text
        .char_indices()
        .map(|(at, c)| Unit {
            c,
            from: at..at + c.len_utf8(),
        })
        .collect();
    for _ in 0..=LAYERS {
        let (shown, origins): (Vec<char>, Vec<Range<usize>>) = units
            .iter()
            .filter(|unit| !unit.c.is_whitespace() && !is_invisible(unit.c))
            .map(|unit| (unit.c.to_ascii_lowercase(), unit.from.clone()))
            .unzip();
        for (secret, mask) in secrets {
            let secret: Vec<char> = secret.chars().map(|c| c.to_ascii_lowercase()).collect();
            for found in parts(&shown, &secret) {
                let bytes = origins[found.start].start..origins[found.end - 1].end;
                marked[bytes].fill(Some(*mask));
            }
        }
        if depth > 0 {
            mark_runs(&units, secrets, &mut marked, depth);
        }
        let decoded = decode(&units);
        if decoded.len() == units.len() {
            break;
        }
        units = decoded;
    }
    replaced(text, &marked)
}

/// Finds the places where a text holds a secret or a part of it.
fn parts(text: &[char], secret: &[char]) -> Vec<Range<usize>> {
    let least = PART.min(secret.len()).max(1);
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let length = |from: usize| {
            let pairs = text[at..].iter().zip(&secret[from..]);
            pairs.take_while(|(one, other)| one == other).count()
        };
        let longest = (0..secret.len()).map(length).max().unwrap_or_default();
        if longest >= least {
            found.push(at..at + longest);
            at += longest;
        } else {
            at += 1;
        }
    }
    found
}

/// Marks runs of base64 and hexadecimal digits that hold a secret once they are decoded.
fn mark_runs(units: &[Unit], secrets: &[Secret], marked: &mut [Option<&'static str>], depth: u32) {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    // Mail breaks long runs into lines.
    let is_inside = |c: char| is_digit(c) || matches!(c, '\r' | '\n');
    for run in units.chunk_by(|one, next| is_inside(one.c) && is_inside(next.c)) {
        let digits = run.iter().map(|unit| unit.c).filter(|c| is_digit(*c));
        // The alphabet of URLs, as the other one.
        let digits: String = digits
            .map(|c| {
                if c == '-' {
                    '+'
                } else if c == '_' {
                    '/'
                } else {
                    c
                }
            })
            .collect();
        if digits.len() < RUN {
            continue;
        }
        let texts: Vec<_> = decoded_runs(&digits)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect();
        for secret in secrets {
            // What was encoded may have been escaped, or encoded before.
            let holds =
                |text: &String| mask_within(text, slice::from_ref(secret), depth - 1) != *text;
            if texts.iter().any(holds) {
                marked[run[0].from.start..run[run.len() - 1].from.end].fill(Some(secret.1));
            }
        }
    }
}

/// Decodes a run from each of the places at which base64 may begin, and as hexadecimal digits.
fn decoded_runs(digits: &str) -> impl Iterator<Item = Vec<u8>> + '_ {
    let base64 = (0..4).filter_map(|skipped| {
        let digits = digits.as_bytes().get(skipped..)?;
        // One digit behind the groups of four holds no byte.
        let length = digits.len() - usize::from(digits.len() % 4 == 1);
        let mut decoded = vec![0; BASE64_NOPAD.decode_len(length).ok()?];
        let written = match BASE64_NOPAD.decode_mut(&digits[..length], &mut decoded) {
            Ok(written) => written,
            Err(partial) => partial.written,
        };
        decoded.truncate(written);
        Some(decoded)
    });
    let hexadecimal = (0..2).filter_map(|skipped| {
        let digits = digits.as_bytes().get(skipped..)?;
        let length = digits.len() & !1;
        HEXLOWER_PERMISSIVE.decode(&digits[..length]).ok()
    });
    base64.chain(hexadecimal)
}

/// Takes one layer of escapes off.
fn decode(units: &[Unit]) -> Vec<Unit> {
    let mut decoded = Vec::with_capacity(units.len());
    let mut rest = units;
    while let Some(first) = rest.first() {
        let (c, length) = escaped(rest).unwrap_or((first.c, 1));
        let from = first.from.start..rest[length - 1].from.end;
        decoded.push(Unit { c, from });
        rest = &rest[length..];
    }
    decoded
}

/// Reads the escape that a text begins with: what it stands for, and its length.
fn escaped(units: &[Unit]) -> Option<(char, usize)> {
    let head: String = units.iter().take(LONGEST).map(|unit| unit.c).collect();
    let number = |digits: &str, radix| char::from_u32(u32::from_str_radix(digits, radix).ok()?);
    let ascii = |digits: &str| number(digits, 16).filter(char::is_ascii);
    match head.as_bytes() {
        [b'%', b'u', ..] => Some((number(head.get(2..6)?, 16)?, 6)),
        [b'%' | b'=', ..] => Some((ascii(head.get(1..3)?)?, 3)),
        [b'\\', b'u', b'{', ..] => {
            let end = head.find('}')?;
            Some((number(&head[3..end], 16)?, end + 1))
        }
        [b'\\', b'u', ..] => Some((number(head.get(2..6)?, 16)?, 6)),
        [b'\\', b'x', ..] => Some((ascii(head.get(2..4)?)?, 4)),
        [b'\\', b'0'..=b'3', ..] => Some((number(head.get(1..4)?, 8)?, 4)),
        [b'\\', b'n' | b'r' | b't', ..] => Some((' ', 2)),
        [b'\\', ..] => Some((head.chars().nth(1)?, 2)),
        [b'&', ..] => {
            let entity = &head[..=head.find(';')?];
            let decoded = html_escape::decode_html_entities(entity);
            let mut chars = decoded.chars();
            let c = chars.next()?;
            (chars.next().is_none()).then(|| (c, entity.chars().count()))
        }
        _ => None,
    }
}

fn replaced(text: &str, marked: &[Option<&'static str>]) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut last = None;
    for (at, c) in text.char_indices() {
        match marked[at] {
            None => replaced.push(c),
            // Next to each other, they are parts of one.
            Some(mask) if last == Some(mask) => {}
            Some(mask) => replaced.push_str(mask),
        }
        last = marked[at];
    }
    replaced
}

#[cfg(test)]
mod tests {
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
    fn what_is_no_secret_stays() {
        for text in [
            "The model `m` does not exist: 100 % sure, \\o/ &c; see https://h/p%20q?a=b",
            r#"{"error":{"message":"sk-live keys need a plan"}}"#,
            "VGhpcyBpcyBub3QgYSBrZXkgYXQgYWxs and 5a5a5a5a5a5a5a5a",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn two_secrets_are_told_apart() {
        let secrets = [
            ("first-secret".to_owned(), "[api key]"),
            ("second-secret".to_owned(), "[header]"),
        ];
        assert_eq!(
            mask("first-secret and second-secret", &secrets),
            "[api key] and [header]"
        );
    }
}

//! Masks secrets in texts from the endpoint, in every encoding that a server is likely to use.
//!
//! The text is decoded layer by layer: the escapes of JSON, URLs, HTML and quoted-printable. Each layer is
//! searched for secrets, ignoring case and invisible characters. Runs of base64 and hexadecimal digits are
//! decoded too. Each decoded character keeps its position in the original text.

use std::ops::Range;
use std::slice;

use data_encoding::{BASE64_NOPAD, HEXLOWER_PERMISSIVE};

use super::visible::is_invisible;

/// How many layers of escapes are decoded.
const LAYERS: usize = 4;

/// How many layers of base64 or hexadecimal digits are decoded.
const DEPTH: u32 = 2;

/// The shortest part of a secret that is masked.
const PART: usize = 8;

/// The length of the longest supported escape.
const LONGEST: usize = 12;

/// The shortest run that is decoded as base64 or hexadecimal digits.
const RUN: usize = 8;

/// A secret and its replacement.
type Secret = (String, &'static str);

/// A decoded character and its bytes in the original text.
#[derive(Clone, Debug)]
struct Unit {
    c: char,
    from: Range<usize>,
}

/// Replaces secrets and parts of secrets.
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

/// Finds the ranges of a text that contain a secret or a part of it.
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

/// Marks runs of base64 and hexadecimal digits that contain a secret when decoded.
fn mark_runs(units: &[Unit], secrets: &[Secret], marked: &mut [Option<&'static str>], depth: u32) {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    // MIME breaks long runs into lines.
    let is_inside = |c: char| is_digit(c) || matches!(c, '\r' | '\n');
    for run in units.chunk_by(|one, next| is_inside(one.c) && is_inside(next.c)) {
        let digits = run.iter().map(|unit| unit.c).filter(|c| is_digit(*c));
        // Translate the URL-safe alphabet to the standard one.
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
            // The decoded text may itself be escaped or encoded.
            let holds =
                |text: &String| mask_within(text, slice::from_ref(secret), depth - 1) != *text;
            if texts.iter().any(holds) {
                marked[run[0].from.start..run[run.len() - 1].from.end].fill(Some(secret.1));
            }
        }
    }
}

/// Decodes a run as base64 and as hexadecimal digits, from each offset that may be the start.
fn decoded_runs(digits: &str) -> impl Iterator<Item = Vec<u8>> + '_ {
    let base64 = (0..4).filter_map(|skipped| {
        let digits = digits.as_bytes().get(skipped..)?;
        // A single digit after the groups of four does not encode a byte.
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

/// Decodes one layer of escapes.
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

/// Reads the escape at the start of a text; returns its character and its length.
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
            // Adjacent marks belong to one secret.
            Some(mask) if last == Some(mask) => {}
            Some(mask) => replaced.push_str(mask),
        }
        last = marked[at];
    }
    replaced
}

#[cfg(test)]
mod tests;

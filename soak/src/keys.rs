//! The session headers of a request, and the key that must arrive.

use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries the key.
pub(crate) const AFFINITY: HeaderName = HeaderName::from_static("x-session-affinity");

/// The headers that the gateway adopts a session from, most specific first.
static NAMES: [HeaderName; 4] = [
    AFFINITY,
    HeaderName::from_static("x-session-id"),
    HeaderName::from_static("x-claude-code-session-id"),
    HeaderName::from_static("session-id"),
];

/// Returns up to four header lines, in which a name may be repeated.
pub(crate) fn random_lines(rng: &mut Rng) -> HeaderMap {
    let mut lines = HeaderMap::new();
    for _ in 0..rng.usize(0..=4) {
        let name = &NAMES[rng.usize(0..NAMES.len())];
        lines.append(name, random_value(rng));
    }
    lines
}

/// Returns the first value that is a valid key, as the truth table of `Replace` says.
// Written from the documentation: the crate must not be its own judge.
pub(crate) fn expected(lines: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = NAMES.iter().flat_map(|name| lines.get_all(name));
    values.find(|value| {
        let visible = |byte: &u8| (0x21..=0x7e).contains(byte) && *byte != b',';
        (1..=255).contains(&value.len()) && value.as_bytes().iter().all(visible)
    })
}

/// Returns a value, in half of the cases a valid key that no other request has.
fn random_value(rng: &mut Rng) -> HeaderValue {
    let unique = format!("{:016x}", rng.u64(..));
    let bytes = match rng.u8(0..12) {
        0 => Vec::new(),
        1 => b"  \t ".to_vec(),
        2 => format!("{unique}, b").into_bytes(),
        3 => format!("{unique} b").into_bytes(),
        // Latin-1.
        4 => [unique.as_bytes(), b"\xfc"].concat(),
        5 => unique.repeat(16).into_bytes(),
        6 => unique.repeat(16).into_bytes()[1..].to_vec(),
        _ => unique.into_bytes(),
    };
    HeaderValue::from_bytes(&bytes).expect("no control characters but tabs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected_of(lines: &[(&'static str, &str)]) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).expect("a header value"));
        }
        expected(&headers).cloned()
    }

    #[test]
    fn the_first_valid_value_of_the_most_specific_header_is_expected() {
        let key = expected_of(&[
            ("session-id", "d"),
            ("x-session-id", "b"),
            ("x-session-affinity", "a, a"),
            ("x-session-affinity", "a"),
            ("x-session-affinity", "z"),
        ]);
        assert_eq!(key.expect("a key"), "a");
    }

    #[test]
    fn an_invalid_value_is_not_expected() {
        let long = "k".repeat(256);
        for value in ["", " \t", "a,b", "a b", "\u{fc}", &long] {
            assert_eq!(expected_of(&[("x-session-id", value)]), None, "{value:?}");
        }
        assert!(expected_of(&[("x-session-id", &long[1..])]).is_some());
    }
}

//! Parses host patterns.

use std::fmt;
use std::str::FromStr;

use super::{Host, HostPattern, bracketed, known_scheme};

/// The error returned for a text that is not a valid [`HostPattern`].
///
/// It says what is wrong and, for an invalid character, where.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::HostPattern;
///
/// let error = "gateway.internal:0".parse::<HostPattern>().unwrap_err();
/// assert_eq!(error.to_string(), "host pattern has an invalid port, expected 1 to 65535");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHostPattern(Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Empty,
    Scheme,
    Invalid {
        character: char,
        index: usize,
        expected: &'static str,
    },
    Wildcard,
    WildcardAddress,
    Label,
    TooLong {
        len: usize,
    },
    Port,
    Ipv6,
}

/// RFC 1035, section 2.3.4, without the root's dot.
const MAX_NAME_LEN: usize = 253;
const MAX_LABEL_LEN: usize = 63;

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        parse(pattern).map_err(InvalidHostPattern)
    }
}

impl TryFrom<&str> for HostPattern {
    type Error = InvalidHostPattern;

    fn try_from(pattern: &str) -> Result<Self, Self::Error> {
        pattern.parse()
    }
}

impl TryFrom<&String> for HostPattern {
    type Error = InvalidHostPattern;

    fn try_from(pattern: &String) -> Result<Self, Self::Error> {
        pattern.parse()
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHostPattern;

    fn try_from(pattern: String) -> Result<Self, Self::Error> {
        pattern.parse()
    }
}

fn parse(pattern: &str) -> Result<HostPattern, Reason> {
    let (scheme, place) = split_scheme(pattern)?;
    let offset = pattern.len() - place.len();
    find_stranger(place, offset)?;
    let (host, port) = split_port(place)?;
    let host = if host.starts_with('[') {
        Host::Ipv6(bracketed(host).ok_or(Reason::Ipv6)?)
    } else {
        parse_name(host, offset)?
    };
    Ok(HostPattern::new(scheme, host, port))
}

fn split_scheme(pattern: &str) -> Result<(Option<&'static str>, &str), Reason> {
    let is_scheme_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'*');
    match pattern.split_once(":/") {
        Some((scheme, rest)) if scheme.bytes().all(is_scheme_byte) => {
            let place = rest.strip_prefix('/').ok_or(Reason::Scheme)?;
            let (scheme, _) = known_scheme(scheme).ok_or(Reason::Scheme)?;
            Ok((Some(scheme), place))
        }
        _ => Ok((None, pattern)),
    }
}

/// Fails at the first character that no pattern contains, such as the start of a path.
fn find_stranger(place: &str, offset: usize) -> Result<(), Reason> {
    // A zone (`%`) is reported as an error of the address.
    let is_known = |c: char| is_name_char(c) || matches!(c, ':' | '[' | ']' | '*' | '%');
    match place.char_indices().find(|&(_, c)| !is_known(c)) {
        None => Ok(()),
        Some((index, character)) => Err(invalid(character, offset + index)),
    }
}

fn split_port(place: &str) -> Result<(&str, Option<u16>), Reason> {
    // A colon inside an IPv6 literal is not a separator.
    let bracket = place.rfind(']').unwrap_or(0);
    let Some(colon) = place[bracket..].rfind(':') else {
        return Ok((place, None));
    };
    let (host, port) = (&place[..bracket + colon], &place[bracket + colon + 1..]);
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        // There is no number after this colon, so the colon itself is the error.
        return Ok((place, None));
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(Reason::Port),
        Ok(port) => Ok((host, Some(port))),
    }
}

fn parse_name(host: &str, offset: usize) -> Result<Host, Reason> {
    let (name, wildcard) = match host.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (host, false),
    };
    let offset = offset + host.len() - name.len();
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(Reason::Empty);
    }
    if let Some((index, character)) = name.char_indices().find(|&(_, c)| !is_name_char(c)) {
        return Err(match character {
            '*' => Reason::Wildcard,
            _ => invalid(character, offset + index),
        });
    }
    if name.len() > MAX_NAME_LEN {
        return Err(Reason::TooLong { len: name.len() });
    }
    if name
        .split('.')
        .any(|label| label.is_empty() || label.len() > MAX_LABEL_LEN)
    {
        return Err(Reason::Label);
    }
    if wildcard && ends_in_number(name) {
        return Err(Reason::WildcardAddress);
    }
    let name = name.to_ascii_lowercase();
    Ok(if wildcard {
        Host::Subdomains(format!(".{name}").into())
    } else {
        Host::Name(name.into())
    })
}

fn invalid(character: char, index: usize) -> Reason {
    let expected = match character {
        '/' | '?' | '#' => "no path after the host",
        '@' => "no user before the host",
        ':' => "a host with an optional port, and brackets around an IPv6 address",
        _ if !character.is_ascii() => "the name's Punycode form (`xn--…`)",
        _ => "a host with an optional port",
    };
    Reason::Invalid {
        character,
        index,
        expected,
    }
}

fn is_name_char(c: char) -> bool {
    // Host names have no underscore, but names from service discovery do.
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// Whether this is an IPv4 address or the end of one: no top-level domain consists of digits.
fn ends_in_number(name: &str) -> bool {
    name.rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for InvalidHostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("host pattern ")?;
        match self.0 {
            Reason::Empty => f.write_str("has no host"),
            Reason::Scheme => f.write_str(
                "has an invalid scheme, expected `http://`, `https://`, `ws://` or `wss://`",
            ),
            Reason::Invalid {
                character,
                index,
                expected,
            } => {
                let byte = character.encode_utf8(&mut [0; 4]).as_bytes()[0];
                // `Debug` escapes what cannot be printed.
                write!(
                    f,
                    "has invalid byte {byte:#04x} ({character:?}) at index {index}, expected {expected}"
                )
            }
            Reason::Wildcard => f.write_str(
                "has a misplaced `*`, expected it only at the start, as in `*.example.com`",
            ),
            Reason::WildcardAddress => {
                f.write_str("has a wildcard before an IP address, expected a domain name")
            }
            Reason::Label => {
                write!(
                    f,
                    "has an invalid label, expected 1 to {MAX_LABEL_LEN} bytes between dots"
                )
            }
            Reason::TooLong { len } => {
                write!(f, "has {len} bytes, expected at most {MAX_NAME_LEN}")
            }
            Reason::Port => f.write_str("has an invalid port, expected 1 to 65535"),
            Reason::Ipv6 => f.write_str("has an invalid IPv6 address in its brackets"),
        }
    }
}

impl std::error::Error for InvalidHostPattern {}

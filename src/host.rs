//! Which hosts may see the header.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use http::Uri;

/// A host, or all subdomains of one, that may see the affinity header.
///
/// | pattern | matches |
/// |---|---|
/// | `api.fireworks.ai` | that host on any port |
/// | `*.workers.ai` | its subdomains at any depth, not `workers.ai` itself |
/// | `[2001:db8::7]` | that IPv6 address, however it is spelled |
/// | `gateway.internal:8443` | that host on that port, which may be the default of the URI's scheme |
///
/// What is matched is the host of the URI's authority, whole and parsed; never a substring, and never
/// the `Host` header. Case does not count, nor does one trailing dot on either side. A name outside
/// ASCII is written in its Punycode form (`xn--…`).
///
/// # Examples
///
/// ```
/// use http::Uri;
/// use tower_session_affinity::HostPattern;
///
/// let workers: HostPattern = "*.workers.ai".parse()?;
/// assert!(workers.matches(&Uri::from_static("https://eu.api.workers.ai/v1")));
/// assert!(!workers.matches(&Uri::from_static("https://api.workers.ai.evil.com/v1")));
///
/// let error = "https://api.fireworks.ai".parse::<HostPattern>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "host pattern has invalid byte 0x3a at index 5, expected a host with an optional port",
/// );
/// # Ok::<_, tower_session_affinity::InvalidHostPattern>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    host: Host,
    port: Option<u16>,
}

/// Names are kept in lower case and without a trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Name(Box<str>),
    /// With the dot that comes before the name: `.example.com`.
    Subdomains(Box<str>),
    Ipv6(Ipv6Addr),
}

/// The error of a text that is no [`HostPattern`]: what is wrong and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHostPattern(Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Empty,
    InvalidByte { byte: u8, index: usize },
    Wildcard,
    WildcardAddress,
    Label,
    TooLong { len: usize },
    Port,
    Ipv6,
}

/// RFC 1035, section 2.3.4, without the root's dot.
const MAX_NAME_LEN: usize = 253;
const MAX_LABEL_LEN: usize = 63;

impl HostPattern {
    /// Makes a pattern from a literal.
    ///
    /// # Panics
    ///
    /// If `pattern` is not valid; the message says why. [`HostPattern::from_str`] returns that as an
    /// error.
    #[must_use]
    #[track_caller]
    pub fn from_static(pattern: &'static str) -> Self {
        match pattern.parse() {
            Ok(pattern) => pattern,
            Err(error) => panic!("{error}"),
        }
    }

    /// Whether a request to this URI goes to a host of this pattern.
    ///
    /// A URI without an authority matches no pattern.
    #[must_use]
    pub fn matches(&self, uri: &Uri) -> bool {
        uri.host().is_some_and(|host| self.matches_host(host, uri))
    }

    /// The same for a URI whose host is known, since finding it costs more than comparing it.
    pub(crate) fn matches_host(&self, host: &str, uri: &Uri) -> bool {
        self.host.matches(host)
            && self
                .port
                .is_none_or(|port| effective_port(uri) == Some(port))
    }
}

impl Host {
    fn matches(&self, host: &str) -> bool {
        let name = host.strip_suffix('.').unwrap_or(host);
        match self {
            Self::Name(expected) => name.eq_ignore_ascii_case(expected),
            Self::Subdomains(suffix) => {
                let (name, suffix) = (name.as_bytes(), suffix.as_bytes());
                name.len() > suffix.len()
                    && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
            }
            Self::Ipv6(expected) => bracketed(host) == Some(*expected),
        }
    }
}

/// The port that a connector uses: the URI's own, else the default of its scheme.
fn effective_port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or_else(|| match uri.scheme_str()? {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    })
}

pub(crate) fn bracketed(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        let (host, port) = split_port(pattern).map_err(InvalidHostPattern)?;
        let host = if host.starts_with('[') {
            Host::Ipv6(bracketed(host).ok_or(InvalidHostPattern(Reason::Ipv6))?)
        } else {
            parse_name(host).map_err(InvalidHostPattern)?
        };
        Ok(Self { host, port })
    }
}

impl TryFrom<&str> for HostPattern {
    type Error = InvalidHostPattern;

    fn try_from(pattern: &str) -> Result<Self, Self::Error> {
        pattern.parse()
    }
}

fn split_port(pattern: &str) -> Result<(&str, Option<u16>), Reason> {
    // A colon inside an IPv6 literal is no separator.
    let bracket = pattern.rfind(']').unwrap_or(0);
    let Some(colon) = pattern[bracket..].rfind(':') else {
        return Ok((pattern, None));
    };
    let (host, port) = (&pattern[..bracket + colon], &pattern[bracket + colon + 1..]);
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        // What comes behind this colon is no number: the byte itself is what is wrong (`https://…`).
        return Ok((pattern, None));
    }
    match port.parse() {
        Ok(0) | Err(_) => Err(Reason::Port),
        Ok(port) => Ok((host, Some(port))),
    }
}

fn parse_name(pattern: &str) -> Result<Host, Reason> {
    let (name, wildcard) = match pattern.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (pattern, false),
    };
    let offset = pattern.len() - name.len();
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(Reason::Empty);
    }
    if let Some((index, byte)) = name
        .bytes()
        .enumerate()
        .find(|&(_, byte)| !is_name_byte(byte))
    {
        return Err(match byte {
            b'*' => Reason::Wildcard,
            _ => Reason::InvalidByte {
                byte,
                index: offset + index,
            },
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

fn is_name_byte(byte: u8) -> bool {
    // The underscore is no part of a host name, but of names that service discovery gives.
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Whether this is an IPv4 address or the end of one: no domain has a top level of digits.
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
            Reason::InvalidByte { byte, index } => write!(
                f,
                "has invalid byte {byte:#04x} at index {index}, expected a host with an optional port"
            ),
            Reason::Wildcard => f.write_str("has a `*` that is not a leading `*.`"),
            Reason::WildcardAddress => f.write_str("has a wildcard on an IP address"),
            Reason::Label => {
                write!(
                    f,
                    "has a label that is empty or has over {MAX_LABEL_LEN} bytes"
                )
            }
            Reason::TooLong { len } => write!(f, "has {len} bytes, at most {MAX_NAME_LEN}"),
            Reason::Port => f.write_str("has an invalid port, expected 1 to 65535"),
            Reason::Ipv6 => f.write_str("has an invalid IPv6 address in its brackets"),
        }
    }
}

impl std::error::Error for InvalidHostPattern {}

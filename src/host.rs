//! Which hosts may see the header.

mod parse;
mod table;

use std::fmt;
use std::net::Ipv6Addr;
use std::slice;

use http::Uri;

pub use parse::InvalidHostPattern;
pub(crate) use table::Table;

/// A host, or all subdomains of one, that may see the affinity header.
///
/// | pattern | matches |
/// |---|---|
/// | `api.fireworks.ai` | that host on any port |
/// | `*.workers.ai` | its subdomains at any depth, not `workers.ai` itself |
/// | `[2001:db8::7]` | that IPv6 address, however it is spelled |
/// | `gateway.internal:443` | that host on port 443, explicit or implied by the URI's scheme |
/// | `https://api.x.ai` | that host over `https` only, on any port |
/// | `https://*.workers.ai:443` | all three: scheme, subdomains and port |
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
/// let xai: HostPattern = "https://API.x.ai".parse()?;
/// assert!(xai.matches(&Uri::from_static("https://api.x.ai/v1")));
/// assert!(!xai.matches(&Uri::from_static("http://api.x.ai:443/v1")));
/// assert_eq!(xai.to_string(), "https://api.x.ai");
///
/// let error = "https://api.x.ai/v1".parse::<HostPattern>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "host pattern has invalid byte 0x2f ('/') at index 16, expected no path after the host",
/// );
/// # Ok::<_, tower_session_affinity::InvalidHostPattern>(())
/// ```
///
/// # How it matches
///
/// - The pattern is compared with the whole host of the URI's authority, never with a substring and never with
///   the `Host` header.
/// - Case is ignored, and so is one trailing dot on either side. Write a name outside ASCII in its
///   Punycode form (`xn--…`).
/// - A pattern's scheme is `http`, `https`, `ws` or `wss`, in either case, and matches only itself: `https` does
///   not match a `wss` URI. A URI without a scheme matches only patterns without one.
/// - A pattern without a scheme matches every scheme: `api.x.ai:443` also matches `http://api.x.ai:443/`, which
///   is sent in the clear.
///
/// `Display` writes one normalized spelling.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HostPattern {
    /// One of [`SCHEMES`].
    scheme: Option<&'static str>,
    host: Host,
    port: Option<u16>,
    /// The host and the port, spelled as in nearly every URI.
    authority: Box<str>,
}

/// Names are stored in lower case and without a trailing dot.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Host {
    Name(Box<str>),
    /// With the dot that comes before the name: `.example.com`.
    Subdomains(Box<str>),
    Ipv6(Ipv6Addr),
}

/// The schemes of patterns, and the ports that connectors use for them.
const SCHEMES: [(&str, u16); 4] = [("http", 80), ("https", 443), ("ws", 80), ("wss", 443)];

impl HostPattern {
    /// Makes a pattern from a literal.
    ///
    /// # Panics
    ///
    /// If `pattern` is not valid; the message says why. `pattern.parse()` returns an error instead.
    #[must_use]
    #[track_caller]
    pub fn from_static(pattern: &'static str) -> Self {
        match pattern.parse() {
            Ok(pattern) => pattern,
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns whether a request to this URI goes to a host of this pattern.
    ///
    /// A URI without an authority matches no pattern.
    #[must_use]
    pub fn matches(&self, uri: &Uri) -> bool {
        is_listed(slice::from_ref(self), uri) == Some(true)
    }

    fn new(scheme: Option<&'static str>, host: Host, port: Option<u16>) -> Self {
        let authority = match port {
            None => host.to_string(),
            Some(port) => format!("{host}:{port}"),
        };
        let authority = authority.into();
        Self {
            scheme,
            host,
            port,
            authority,
        }
    }

    /// Whether the authority is spelled exactly as here. If so, it matches and need not be parsed. `false` is
    /// always safe.
    #[expect(
        clippy::inline_always,
        reason = "a call for each pattern costs twice as much as the comparison"
    )]
    #[inline(always)]
    fn is_spelled(&self, authority: &str, uri: &Uri) -> bool {
        *self.authority == *authority && self.allows_scheme(uri)
    }

    /// Whether it matches in any spelling of the host.
    pub(crate) fn matches_host(&self, host: &str, uri: &Uri) -> bool {
        self.host.matches(host)
            && self.allows_scheme(uri)
            && self
                .port
                .is_none_or(|port| effective_port(uri) == Some(port))
    }

    #[inline]
    fn allows_scheme(&self, uri: &Uri) -> bool {
        self.scheme.is_none_or(|expected| is_scheme(uri, expected))
    }

    /// Returns the host as the authority of this pattern spells it.
    fn host_text(&self) -> &str {
        match &self.host {
            Host::Name(name) => name,
            Host::Subdomains(_) | Host::Ipv6(_) => host_of(&self.authority),
        }
    }

    /// Whether a URI spelled like the other pattern may also match this one, which is spelled differently.
    /// `true` is always safe; it costs a comparison.
    fn shadows(&self, other: &Self) -> bool {
        self.authority != other.authority && self.host.matches(other.host_text())
    }
}

/// Whether one of these patterns matches; `None` if the URI has no authority.
#[inline]
pub(crate) fn is_listed(patterns: &[HostPattern], uri: &Uri) -> Option<bool> {
    let authority = uri.authority()?.as_str();
    let spelled = patterns.iter().any(|it| it.is_spelled(authority, uri));
    Some(spelled || is_listed_parsed(patterns, authority, uri))
}

#[inline(never)]
fn is_listed_parsed(patterns: &[HostPattern], authority: &str, uri: &Uri) -> bool {
    let host = host_of(authority);
    patterns.iter().any(|it| it.matches_host(host, uri))
}

/// Returns the same as [`Uri::host`], whose general searches cost more than the comparison.
pub(crate) fn host_of(authority: &str) -> &str {
    let user = authority.bytes().rposition(|byte| byte == b'@');
    let place = &authority[user.map_or(0, |at| at + 1)..];
    let end = if place.starts_with('[') {
        place.bytes().position(|byte| byte == b']').map(|at| at + 1)
    } else {
        place.bytes().position(|byte| byte == b':')
    };
    &place[..end.unwrap_or(place.len())]
}

#[inline(never)]
fn is_scheme(uri: &Uri, expected: &str) -> bool {
    let scheme = uri.scheme_str();
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(expected))
}

/// The port that a connector uses: the URI's own, else the default of its scheme.
fn effective_port(uri: &Uri) -> Option<u16> {
    uri.port_u16()
        .or_else(|| known_scheme(uri.scheme_str()?).map(|(_, port)| port))
}

fn known_scheme(scheme: &str) -> Option<(&'static str, u16)> {
    let mut known = SCHEMES.into_iter();
    known.find(|(known, _)| scheme.eq_ignore_ascii_case(known))
}

pub(crate) fn bracketed(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
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

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Subdomains(suffix) => write!(f, "*{suffix}"),
            Self::Ipv6(address) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{scheme}://")?;
        }
        f.write_str(&self.authority)
    }
}

impl fmt::Debug for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostPattern({:?})", self.to_string())
    }
}

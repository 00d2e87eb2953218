//! What a token is remembered for.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use http::uri::Authority;
use http::{HeaderName, Uri};
use tower_session_affinity::{AffinityKey, InvalidAffinityKey};

/// What a token is remembered for: a key at one origin, under one header name.
///
/// The origin is the scheme, the host and the port of a URI. Case, one trailing dot of the host, user
/// information and the scheme's default port are ignored. `ws` is the same as `http`, and `wss` the same as
/// `https`, since a WebSocket is opened by an HTTP request. A URI without a scheme is an origin of its own, so
/// a token that was issued over TLS is never sent without TLS. IPv6 addresses are compared as text. The `Host`
/// header is not read.
///
/// [`as_str`](Self::as_str) returns a stable text, which [`FromStr`] parses. `Debug` does not show the key,
/// and there is no `Display`.
///
/// # Examples
///
/// ```
/// use http::Uri;
/// use tower_affinity_token::{Session, header::X_SESSION_TOKEN};
/// use tower_session_affinity::AffinityKey;
///
/// let key = AffinityKey::from_static("chat-7");
/// let session = |uri| {
///     Session::new(&X_SESSION_TOKEN, &Uri::from_static(uri), &key)
/// };
///
/// let text = "https api.example x-session-token chat-7";
/// assert_eq!(session("https://api.example/v1/chat").unwrap().as_str(), text);
/// assert_eq!(session("https://API.example.:443/"), Some(text.parse()?));
/// assert_ne!(session("http://api.example:443/"), Some(text.parse()?));
/// assert_eq!(session("/v1/chat"), None);
/// # Ok::<_, tower_affinity_token::InvalidSession>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Session(Box<[u8]>);

/// The error returned for a text that is not a valid [`Session`]. It says which part is wrong and never shows
/// the key.
///
/// # Examples
///
/// ```
/// use tower_affinity_token::Session;
///
/// let error = "https api.example x-session-token".parse::<Session>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "session has 3 parts, expected scheme, host, header name and key \
///      between single spaces",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSession(Reason);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Parts { found: usize },
    Scheme,
    Host,
    HeaderName,
    Key(InvalidAffinityKey),
}

/// Separates the parts of a session; none of them can contain it.
const SEPARATOR: u8 = b' ';

/// Stands for a missing scheme. No scheme begins with it.
const NO_SCHEME: &str = "-";

impl Session {
    /// Returns the session of `key` at the origin of `uri`, for tokens that are sent in `header_name`.
    ///
    /// Returns `None` if the URI has no host.
    #[must_use]
    pub fn new(header_name: &HeaderName, uri: &Uri, key: &AffinityKey) -> Option<Self> {
        let authority = uri.authority()?.as_str();
        let is_plain = authority.bytes().all(is_plain);
        // Most authorities are only a host in lower case.
        let (host, port) = if is_plain {
            (authority, None)
        } else {
            split(authority)
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.is_empty() {
            return None;
        }
        let scheme = scheme(uri);
        let mut digits = [0; 5];
        let port = port
            .filter(|port| Some(*port) != default_port(scheme))
            .map(|port| decimal(port, &mut digits));
        let name = header_name.as_str();
        let key = key.as_header_value().as_bytes();

        // The exact length, since a store keeps this text.
        let port_len = port.map_or(0, |port| 1 + port.len());
        let len = scheme.len() + 1 + host.len() + port_len + 1 + name.len() + 1 + key.len();
        let mut text = Vec::with_capacity(len);
        text.extend_from_slice(scheme.as_bytes());
        text.push(SEPARATOR);
        text.extend_from_slice(host.as_bytes());
        if !is_plain || default_port(scheme).is_none() {
            text.make_ascii_lowercase();
        }
        if let Some(port) = port {
            text.push(b':');
            text.extend_from_slice(port);
        }
        text.push(SEPARATOR);
        text.extend_from_slice(name.as_bytes());
        text.push(SEPARATOR);
        // Copied, since a key can be a slice of a read buffer, which it would keep alive.
        text.extend_from_slice(key);
        Some(Self(text.into()))
    }

    /// Returns the scheme, the host with its port, the header name and the key, separated by spaces.
    ///
    /// The text is unique and stable; [`FromStr`] parses it into an equal session. A default port is omitted.
    /// The scheme is `-` if the URI has none.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "each part is ASCII, as its type guarantees"
    )]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a session is ASCII")
    }

    #[cfg(feature = "memory")]
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whether this byte can only be part of a host, and is not in upper case.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.')
}

/// Returns what [`Uri::host`] and [`Uri::port_u16`] return, in one pass from the end.
fn split(authority: &str) -> (&str, Option<u16>) {
    let bytes = authority.as_bytes();
    let (mut start, mut first_colon, mut last_colon) = (0, bytes.len(), None);
    for (index, byte) in bytes.iter().enumerate().rev() {
        match byte {
            b':' => {
                first_colon = index;
                last_colon = last_colon.or(Some(index));
            }
            b'@' => {
                start = index + 1;
                break;
            }
            _ => {}
        }
    }
    let end = match bytes.get(start) {
        Some(b'[') => authority.find(']').map_or(bytes.len(), |at| at + 1),
        _ => first_colon,
    };
    let port = last_colon.and_then(|colon| authority[colon + 1..].parse().ok());
    (&authority[start..end], port)
}

/// Parses the host of a session, with its port.
fn authority(text: &str) -> Result<Authority, InvalidSession> {
    let (host, _) = split(text);
    let authority = match text.strip_prefix(host) {
        // The session has lost one trailing dot already, and `Session::new` removes another.
        Some(port) if host.ends_with('.') => format!("{host}.{port}").parse(),
        Some(_) => text.parse(),
        None => return Err(InvalidSession(Reason::Host)),
    };
    authority.map_err(|_| InvalidSession(Reason::Host))
}

fn scheme(uri: &Uri) -> &str {
    let scheme = uri.scheme_str().unwrap_or(NO_SCHEME);
    match scheme.len() {
        2 if scheme.eq_ignore_ascii_case("ws") => "http",
        3 if scheme.eq_ignore_ascii_case("wss") => "https",
        _ => scheme,
    }
}

/// Returns the port that a connector uses if the URI has none. `http` lowercases these two schemes.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Writes a number in decimal, without the cost of `format!`.
fn decimal(mut number: u16, digits: &mut [u8; 5]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789"[usize::from(number % 10)];
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

// A derived impl would also hash the length, which a single field does not need.
impl Hash for Session {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// Parses the text of [`Session::as_str`]. Upper case and a default port are accepted, too.
impl FromStr for Session {
    type Err = InvalidSession;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(char::from(SEPARATOR)).collect();
        let found = parts.len();
        let [scheme, host, name, key] = parts[..] else {
            return Err(InvalidSession(Reason::Parts { found }));
        };
        let key = key.parse().map_err(Reason::Key).map_err(InvalidSession)?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| InvalidSession(Reason::HeaderName))?;
        let uri = Uri::builder().authority(authority(host)?);
        let uri = match scheme {
            NO_SCHEME => uri,
            "" => return Err(InvalidSession(Reason::Scheme)),
            _ => uri.scheme(scheme).path_and_query("/"),
        };
        let uri = uri.build().map_err(|_| InvalidSession(Reason::Scheme))?;
        Self::new(&name, &uri, &key).ok_or(InvalidSession(Reason::Host))
    }
}

/// Shows everything except the key.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, _key) = self.as_str().rsplit_once(' ').unwrap_or_default();
        f.debug_tuple("Session")
            .field(&shown)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for InvalidSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Parts { found } => write!(
                f,
                "session has {found} parts, expected scheme, host, header name and key between single spaces"
            ),
            Reason::Scheme => f.write_str("session has an invalid scheme"),
            Reason::Host => f.write_str("session has an invalid host"),
            Reason::HeaderName => f.write_str("session has an invalid header name"),
            Reason::Key(error) => write!(f, "session has an invalid key: {error}"),
        }
    }
}

impl std::error::Error for InvalidSession {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Reason::Key(error) => Some(error),
            _ => None,
        }
    }
}

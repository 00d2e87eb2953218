//! What a token is remembered for.

use std::fmt::{self, Write as _};

use http::Uri;
use tower_session_affinity::AffinityKey;

/// A session at one authority: what a token is remembered for.
///
/// Two spellings of an authority are one: case does not count, nor do one trailing dot, user
/// information, and a port that is the default of the URI's scheme. `http://h` and `https://h` are two,
/// so a token that was issued over TLS is not sent without TLS. An IPv6 address is compared as it is
/// spelled. The `Host` header is never asked.
///
/// `Debug` does not show the key.
///
/// # Examples
///
/// ```
/// use http::Uri;
/// use tower_affinity_token::Session;
/// use tower_session_affinity::AffinityKey;
///
/// let key = AffinityKey::from_static("chat-7");
/// let session = Session::new(&Uri::from_static("https://API.example./v1/chat"), &key);
/// assert_eq!(session, Session::new(&Uri::from_static("https://api.example:443/"), &key));
/// assert_eq!(session.unwrap().as_str(), "api.example:443 chat-7");
///
/// assert_eq!(Session::new(&Uri::from_static("/v1/chat"), &key), None);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Session(Box<str>);

/// Neither a host nor a key can have it.
const SEPARATOR: char = ' ';

impl Session {
    /// Names the session of `key` at the authority of `uri`; `None` where it has no authority.
    #[must_use]
    pub fn new(uri: &Uri, key: &AffinityKey) -> Option<Self> {
        let host = uri.host()?;
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.is_empty() {
            return None;
        }
        let key = key.as_str();
        let port = effective_port(uri);
        let port_len = port.map_or(0, |port| {
            1 + port.checked_ilog10().unwrap_or(0) as usize + 1
        });
        // The exact length: what is remembered is this text, and nothing beside it.
        let mut text = String::with_capacity(host.len() + port_len + 1 + key.len());
        text.push_str(host);
        text.make_ascii_lowercase();
        if let Some(port) = port {
            let _ = write!(text, ":{port}");
        }
        text.push(SEPARATOR);
        text.push_str(key);
        Some(Self(text.into()))
    }

    /// Returns the authority, a space and the key: a unique text, for a store that needs one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn authority(&self) -> &str {
        self.0.split(SEPARATOR).next().unwrap_or_default()
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

/// Shows the authority alone.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session")
            .field(&self.authority())
            .finish_non_exhaustive()
    }
}

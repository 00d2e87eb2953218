//! Readers for tokens that are followed by attributes, as in a cookie: `ID; Expires=…; Max-Age=…`.
//!
//! Pass them to [`token_part`](crate::AffinityTokenLayer::token_part) and
//! [`lifetime`](crate::AffinityTokenLayer::lifetime).

#[cfg(feature = "memory")]
use std::time::{Duration, SystemTime};

/// Returns the part before the first semicolon, without surrounding spaces and tabs.
///
/// # Examples
///
/// ```
/// use tower_affinity_token::attributes;
///
/// assert_eq!(attributes::token(b"s-1; Expires=2026-11-26T15:00:00Z"), b"s-1");
/// assert_eq!(attributes::token(b"s-1"), b"s-1");
/// ```
#[must_use]
pub fn token(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|byte| *byte == b';');
    value[..end.unwrap_or(value.len())].trim_ascii()
}

/// Reads how long a token is valid from now on: `Max-Age`, else `Expires`, else `None`.
///
/// `Max-Age` is a number of seconds. `Expires` is a date: an RFC 3339 one with a `Z`, as SageMaker writes it
/// (`2026-11-26T15:00:00Z`), or an HTTP one (`Thu, 26 Nov 2026 15:00:00 GMT`). It is compared with the clock
/// of this machine. A time in the past gives zero.
///
/// Attribute names are case-insensitive. An attribute that cannot be read is skipped. If a name occurs more
/// than once, the first readable value counts.
///
/// Needs the feature `memory`, which is on by default.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_affinity_token::attributes;
///
/// let ten_minutes = Duration::from_secs(600);
/// assert_eq!(attributes::lifetime(b"s-1; Max-Age=600"), Some(ten_minutes));
/// let expired = b"s-1; Expires=2023-11-26T15:00:00Z";
/// assert_eq!(attributes::lifetime(expired), Some(Duration::ZERO));
/// assert_eq!(attributes::lifetime(b"s-1"), None);
/// ```
#[cfg(feature = "memory")]
#[must_use]
pub fn lifetime(value: &[u8]) -> Option<Duration> {
    named(value, "max-age")
        .find_map(max_age)
        .or_else(|| named(value, "expires").find_map(expires))
}

/// Returns the values of the attributes with this name, in order.
#[cfg(feature = "memory")]
fn named<'a>(value: &'a [u8], name: &'static str) -> impl Iterator<Item = &'a str> {
    let attributes = value.split(|byte| *byte == b';').skip(1);
    attributes.filter_map(move |attribute| {
        let (found, value) = std::str::from_utf8(attribute).ok()?.split_once('=')?;
        let value = value.trim().trim_matches('"');
        found.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Reads a number of seconds; a negative one is in the past.
#[cfg(feature = "memory")]
fn max_age(seconds: &str) -> Option<Duration> {
    let digits = seconds.strip_prefix('-').unwrap_or(seconds);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() < seconds.len() {
        return Some(Duration::ZERO);
    }
    // More seconds than a `u64` holds mean forever.
    Some(Duration::from_secs(seconds.parse().unwrap_or(u64::MAX)))
}

#[cfg(feature = "memory")]
fn expires(date: &str) -> Option<Duration> {
    let end = humantime::parse_rfc3339(date).ok();
    let end = end.or_else(|| httpdate::parse_http_date(date).ok())?;
    Some(end.duration_since(SystemTime::now()).unwrap_or_default())
}

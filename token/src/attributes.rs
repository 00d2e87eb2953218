//! Tokens with attributes behind them, as in a cookie: `ID; Expires=…; Max-Age=…`.
//!
//! They are for [`token_part`](crate::AffinityTokenLayer::token_part) and
//! [`lifetime`](crate::AffinityTokenLayer::lifetime).

#[cfg(feature = "memory")]
use std::time::{Duration, SystemTime};

/// Returns what is before the first semicolon, without spaces and tabs around it.
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

/// Reads for how long a token is valid from now on: `Max-Age`, else `Expires`, else `None`.
///
/// `Max-Age` is a number of seconds. `Expires` is a date as in RFC 3339 with a `Z`, as SageMaker writes it
/// (`2026-11-26T15:00:00Z`), or one as in HTTP (`Thu, 26 Nov 2026 15:00:00 GMT`), and is compared with the
/// clock of this machine. A time that has passed is zero. The names' case does not count; an attribute
/// that cannot be read is skipped, and of two readable ones of a name the first counts.
///
/// Needs the feature `memory`, which is on by default.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_affinity_token::attributes;
///
/// assert_eq!(attributes::lifetime(b"s-1; Max-Age=600"), Some(Duration::from_secs(600)));
/// assert_eq!(attributes::lifetime(b"s-1; Expires=2023-11-26T15:00:00Z"), Some(Duration::ZERO));
/// assert_eq!(attributes::lifetime(b"s-1"), None);
/// ```
#[cfg(feature = "memory")]
#[must_use]
pub fn lifetime(value: &[u8]) -> Option<Duration> {
    named(value, "max-age")
        .find_map(max_age)
        .or_else(|| named(value, "expires").find_map(expires))
}

/// The values of the attributes of this name, in order.
#[cfg(feature = "memory")]
fn named<'a>(value: &'a [u8], name: &'static str) -> impl Iterator<Item = &'a str> {
    let attributes = value.split(|byte| *byte == b';').skip(1);
    attributes.filter_map(move |attribute| {
        let (found, value) = std::str::from_utf8(attribute).ok()?.split_once('=')?;
        let value = value.trim().trim_matches('"');
        found.trim().eq_ignore_ascii_case(name).then_some(value)
    })
}

/// A number of seconds; one that is below zero has passed.
#[cfg(feature = "memory")]
fn max_age(seconds: &str) -> Option<Duration> {
    let digits = seconds.strip_prefix('-').unwrap_or(seconds);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() < seconds.len() {
        return Some(Duration::ZERO);
    }
    // More seconds than a number holds are for ever.
    Some(Duration::from_secs(seconds.parse().unwrap_or(u64::MAX)))
}

#[cfg(feature = "memory")]
fn expires(date: &str) -> Option<Duration> {
    let end = humantime::parse_rfc3339(date).ok();
    let end = end.or_else(|| httpdate::parse_http_date(date).ok())?;
    Some(end.duration_since(SystemTime::now()).unwrap_or_default())
}

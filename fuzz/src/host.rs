//! Host patterns: an oracle that compares label by label.

use std::net::Ipv6Addr;

use http::Uri;

/// A parsed host pattern.
pub struct Pattern {
    scheme: Option<String>,
    host: Host,
    port: Option<u16>,
}

enum Host {
    Name(Vec<String>),
    Below(Vec<String>),
    Ipv6(Ipv6Addr),
}

/// Parses a pattern, or returns `None` if the text is not one.
#[must_use]
pub fn parse(pattern: &str) -> Option<Pattern> {
    let (scheme, pattern) = match pattern.split_once("://") {
        None => (None, pattern),
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
    };
    if let Some(scheme) = &scheme {
        default_port(scheme)?;
    }
    if let Some(rest) = pattern.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let port = match rest {
            "" => None,
            _ => Some(port(rest.strip_prefix(':')?)?),
        };
        let host = Host::Ipv6(address.parse().ok()?);
        return Some(Pattern { scheme, host, port });
    }
    let (host, port) = match pattern.split_once(':') {
        None => (pattern, None),
        Some((host, digits)) => (host, Some(port(digits)?)),
    };
    let (host, below) = match host.strip_prefix("*.") {
        None => (host, false),
        Some(host) => (host, true),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let labels = labels(host);
    let is_label = |label: &String| {
        let mut chars = label.chars();
        (1..=63).contains(&label.len())
            && chars.all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_'))
    };
    if host.len() > 253 || !labels.iter().all(is_label) {
        return None;
    }
    let top = labels.last()?;
    if below && top.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let host = if below {
        Host::Below(labels)
    } else {
        Host::Name(labels)
    };
    Some(Pattern { scheme, host, port })
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

fn port(digits: &str) -> Option<u16> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    match digits.trim_start_matches('0') {
        "" => None,
        number => number.parse().ok(),
    }
}

fn labels(host: &str) -> Vec<String> {
    let labels = host.split('.').map(str::to_ascii_lowercase);
    labels.collect()
}

/// Returns the host and the explicit port of a URI, read from the authority's text.
#[must_use]
pub fn host_and_port(uri: &Uri) -> Option<(&str, Option<u16>)> {
    let authority = uri.authority()?.as_str();
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_, place)| place);
    let end = if place.starts_with('[') {
        place.find(']')? + 1
    } else {
        place.find(':').unwrap_or(place.len())
    };
    let (host, rest) = place.split_at(end);
    let port = rest
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    Some((host, port))
}

/// Whether a pattern matches the host of this URI.
#[must_use]
pub fn matches(pattern: &Pattern, uri: &Uri) -> bool {
    let Some((host, port)) = host_and_port(uri) else {
        return false;
    };
    let scheme = uri.scheme_str().map(str::to_ascii_lowercase);
    if pattern.scheme.is_some() && pattern.scheme != scheme {
        return false;
    }
    let port = port.or_else(|| default_port(&scheme?));
    if pattern.port.is_some() && pattern.port != port {
        return false;
    }
    let own = labels(host.strip_suffix('.').unwrap_or(host));
    match &pattern.host {
        Host::Name(labels) => own == *labels,
        Host::Below(labels) => match own.len().checked_sub(labels.len()) {
            None | Some(0) => false,
            Some(more) => own[more..] == labels[..] && !own[..more].join(".").is_empty(),
        },
        Host::Ipv6(address) => {
            host.starts_with('[') && host.trim_matches(['[', ']']).parse() == Ok(*address)
        }
    }
}

//! An oracle for the truth table of `MergePolicy`, destinations and derivation.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Request, Uri};
use sha2::Sha256;
use tower_session_affinity::Outcome;

use crate::request::{
    Adopt, Derivation, Input, Name, Pattern, ROOM, Row, SECRET, Settings, Source, Suffix,
};
use crate::{host, key};

/// The outcome of a request, and the only header that is sent of those that the layer may touch.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    pub outcome: Outcome,
    pub sent: Option<(&'static str, Vec<u8>)>,
}

/// Returns what the layer should do with this request.
#[must_use]
pub fn judge(settings: &Settings, input: &Input, request: &Request<()>) -> Verdict {
    let verdict = aim(settings, input, request).and_then(|target| {
        let (outcome, value) = merge(settings, input, request.headers(), target.name)?;
        let (outcome, value) = derive_value(settings, request.uri(), outcome, value)?;
        match target.max_len {
            Some(max_len) if value.len() > max_len => Err(Outcome::TooLong),
            _ => Ok((outcome, (target.name, value))),
        }
    });
    match verdict {
        Ok((outcome, sent)) => Verdict {
            outcome,
            sent: Some(sent),
        },
        Err(outcome) => Verdict {
            outcome,
            sent: None,
        },
    }
}

/// Returns the headers that a layer may touch: those that can carry the key, and those it adopts.
#[must_use]
pub fn touched(settings: &Settings) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    match &settings.destinations {
        None => names.extend([settings.name()]),
        Some(rows) => {
            let rows = rows.iter().filter(|row| host::parse(&row.host.0).is_some());
            names.extend(rows.filter_map(|row| row.header_name).map(|name| name.0));
        }
    }
    if let Some(adopt) = &settings.adopt {
        names.extend(adopt.names.iter().map(|name| name.0));
    }
    names
}

struct Target {
    name: &'static str,
    max_len: Option<usize>,
}

/// Returns the header for the key, or the reason not to send one.
fn aim(settings: &Settings, input: &Input, request: &Request<()>) -> Result<Target, Outcome> {
    let uri = request.uri();
    if input.is_connect && uri.scheme_str().is_none() {
        return Err(Outcome::Tunnel);
    }
    let is_listed = |pattern: &Pattern| {
        host::parse(&pattern.0).is_some_and(|pattern| host::matches(&pattern, uri))
    };
    let needs_host = settings.only_hosts.is_some() || settings.destinations.is_some();
    if needs_host && host::host_and_port(uri).is_none() {
        return Err(Outcome::NoAuthority);
    }
    if let Some(hosts) = &settings.only_hosts
        && !hosts.iter().any(is_listed)
    {
        return Err(Outcome::HostNotAllowed);
    }
    let mut target = Target {
        name: settings.name(),
        max_len: None,
    };
    if let Some(rows) = &settings.destinations {
        let mut rows = rows.iter();
        let row = rows.find(|row| is_listed(&row.host) && has_path(row, uri));
        let row = row.ok_or(Outcome::HostNotAllowed)?;
        target.name = row.header_name.ok_or(Outcome::HeaderNotRead)?.0;
        target.max_len = row.max_len.map(|bytes| usize::from(bytes.get()));
    }
    if input.no_affinity {
        return Err(Outcome::Suppressed);
    }
    Ok(target)
}

fn has_path(row: &Row, uri: &Uri) -> bool {
    let text = uri.path();
    let ends =
        |suffix: &Suffix| text.ends_with(suffix.0) || text.ends_with(&format!("{}/", suffix.0));
    row.path_suffixes.is_empty() || row.path_suffixes.iter().any(ends)
}

/// Applies the rows of the truth table, from the top.
fn merge(
    settings: &Settings,
    input: &Input,
    headers: &HeaderMap,
    name: &str,
) -> Result<(Outcome, Vec<u8>), Outcome> {
    let present = values(headers, name);
    let is_never_kept = match &settings.adopt {
        Some(adopt) if adopt.derived => adopt.names.iter().any(|adopted| adopted.0 == name),
        _ => false,
    };
    if !settings.replace
        && !is_never_kept
        && let Some(first) = present.iter().find(|value| !is_blank(value))
    {
        return Ok((Outcome::Kept, first.clone()));
    }
    let Some(key) = find_key(settings, input, headers) else {
        return Err(if has_invalid_key(settings, headers) {
            Outcome::InvalidKey
        } else {
            Outcome::NoKey
        });
    };
    match present.is_empty() {
        false => Ok((Outcome::Replaced, key.into_bytes())),
        true if headers.keys_len() < ROOM => Ok((Outcome::Stamped, key.into_bytes())),
        true => Err(Outcome::MapFull),
    }
}

/// Derives the key from the value that the truth table gave, if the settings ask for it.
fn derive_value(
    settings: &Settings,
    uri: &Uri,
    outcome: Outcome,
    value: Vec<u8>,
) -> Result<(Outcome, Vec<u8>), Outcome> {
    let destination = match &settings.derivation {
        None => return Ok((outcome, value)),
        Some(Derivation::For(label)) => label.clone(),
        Some(Derivation::PerHost) => spell_host(uri).ok_or(Outcome::NoAuthority)?,
    };
    let outcome = match outcome {
        Outcome::Kept => Outcome::KeptDerived,
        outcome => outcome,
    };
    let parts = [destination.as_bytes(), value.trim_ascii()];
    Ok((outcome, derive("tsa-dst-v1", &parts).into_bytes()))
}

/// Asks the extensions first, then the sources in order, then the adopted headers.
fn find_key(settings: &Settings, input: &Input, headers: &HeaderMap) -> Option<String> {
    let of_extension = || input.extension.as_ref().map(|key| key.0.clone());
    let of_source = |source: &Source| match source {
        Source::Fixed(key) => key.as_ref().map(|key| key.0.clone()),
        Source::Headers(names) => {
            let mut values = names.iter().flat_map(|name| headers.get_all(name.0));
            values.find_map(key::text)
        }
        Source::Closure(name) | Source::Shared(name) => headers.get(name.0).and_then(key::text),
        Source::Extension => of_extension(),
        Source::Scope => input.scope.as_ref().map(|key| key.0.clone()),
    };
    let adopted = || match &settings.adopt {
        None => None,
        Some(Adopt { names, derived }) if *derived => {
            let mut values = names.iter().flat_map(|name| values(headers, name.0));
            let value = values.find(|value| !is_blank(value))?;
            Some(derive("tsa-key-v1", &[value.trim_ascii()]))
        }
        Some(Adopt { names, .. }) => of_source(&Source::Headers(names.clone())),
    };
    of_extension()
        .or_else(|| settings.sources.iter().flatten().find_map(of_source))
        .or_else(adopted)
}

/// Whether a source that reads headers finds a value that is neither blank nor a valid key.
///
/// A source that derives its key takes any value.
fn has_invalid_key(settings: &Settings, headers: &HeaderMap) -> bool {
    let mut names = Vec::<&Name>::new();
    for source in settings.sources.iter().flatten() {
        if let Source::Headers(read) = source {
            names.extend(read);
        }
    }
    if let Some(adopt) = &settings.adopt
        && !adopt.derived
    {
        names.extend(&adopt.names);
    }
    let mut values = names.iter().flat_map(|name| headers.get_all(name.0));
    values.any(|value| !is_blank(value.as_bytes()) && key::text(value).is_none())
}

/// Returns all values of these headers, each header's values in order.
#[must_use]
pub fn lines_of(
    headers: &HeaderMap,
    names: &BTreeSet<&'static str>,
) -> Vec<(&'static str, Vec<u8>)> {
    let lines = names.iter().flat_map(|name| {
        let values = values(headers, name).into_iter();
        values.map(|value| (*name, value))
    });
    lines.collect()
}

/// Returns the headers without these names, with each header's values in order.
#[must_use]
pub fn without(mut headers: HeaderMap, names: &BTreeSet<&'static str>) -> HeaderMap {
    for name in names {
        headers.remove(*name);
    }
    headers
}

fn values(headers: &HeaderMap, name: &str) -> Vec<Vec<u8>> {
    let values = headers.get_all(name).into_iter();
    values.map(|value| value.as_bytes().to_vec()).collect()
}

fn is_blank(value: &[u8]) -> bool {
    value.iter().all(|byte| b" \t".contains(byte))
}

/// Spells the host as the format of derived keys does.
fn spell_host(uri: &Uri) -> Option<String> {
    let (host, _) = host::host_and_port(uri)?;
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match address.and_then(|address| address.parse::<std::net::Ipv6Addr>().ok()) {
        Some(address) => {
            let groups = address.segments().map(|group| format!("{group:04x}"));
            Some(groups.join(":"))
        }
        None => Some(host).filter(|host| !host.is_empty()),
    }
}

fn derive(label: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).expect("a key of any length");
    mac.update(label.as_bytes());
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    let mut octets: [u8; 16] = mac.finalize().into_bytes()[..16]
        .try_into()
        .expect("16 of 32");
    octets[6] = octets[6] & 0x0f | 0x80;
    octets[8] = octets[8] & 0x3f | 0x80;
    let digits = format!("{:032x}", u128::from_be_bytes(octets));
    let ends = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    ends.map(|(start, end)| &digits[start..end]).join("-")
}

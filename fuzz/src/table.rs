//! The truth table of `MergePolicy`, and the second step that derives.

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Request, Uri};
use sha2::Sha256;
use tower_session_affinity::Outcome;

use crate::request::{Derivation, Input, ROOM, SECRET, Settings, Source};
use crate::{host, key};

/// What becomes of a request: its outcome, and the bytes of the one value that leaves.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    pub outcome: Outcome,
    pub left: Option<Vec<u8>>,
}

impl Verdict {
    fn none(outcome: Outcome) -> Self {
        Self {
            outcome,
            left: None,
        }
    }
}

/// Judges a request that has not been stamped yet.
#[must_use]
pub fn judge(settings: &Settings, input: &Input, request: &Request<()>) -> Verdict {
    let raw = merge(settings, input, request);
    let (Some(derivation), Some(left)) = (&settings.derivation, &raw.left) else {
        return raw;
    };
    let destination = match derivation {
        Derivation::For(label) => Some(label.clone()),
        Derivation::PerHost => spell_host(request.uri()),
    };
    let Some(destination) = destination else {
        return Verdict::none(Outcome::NoAuthority);
    };
    let outcome = match raw.outcome {
        Outcome::Kept => Outcome::KeptDerived,
        outcome => outcome,
    };
    Verdict {
        outcome,
        left: Some(derive(&destination, left).into_bytes()),
    }
}

/// The rows of the table, from the top.
fn merge(settings: &Settings, input: &Input, request: &Request<()>) -> Verdict {
    if let Some(hosts) = &settings.only_hosts {
        if host::host_and_port(request.uri()).is_none() {
            return Verdict::none(Outcome::NoAuthority);
        }
        let mut patterns = hosts.iter().filter_map(|pattern| host::parse(&pattern.0));
        if !patterns.any(|pattern| host::matches(&pattern, request.uri())) {
            return Verdict::none(Outcome::HostNotAllowed);
        }
    }
    if input.no_affinity {
        return Verdict::none(Outcome::Suppressed);
    }
    let headers = request.headers();
    let name = settings.name();
    let present = values(headers, name);
    if !settings.replace
        && let Some(first) = present.iter().find(|value| !is_blank(value))
    {
        return Verdict {
            outcome: Outcome::Kept,
            left: Some(first.clone()),
        };
    }
    let Some(key) = find_key(settings, input, headers) else {
        return Verdict::none(if has_invalid_key(settings, headers) {
            Outcome::InvalidKey
        } else {
            Outcome::NoKey
        });
    };
    let outcome = match present.is_empty() {
        false => Outcome::Replaced,
        true if headers.keys_len() < ROOM => Outcome::Stamped,
        true => return Verdict::none(Outcome::MapFull),
    };
    Verdict {
        outcome,
        left: Some(key.into_bytes()),
    }
}

/// The extensions come first, then the sources in their order.
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
    of_extension().or_else(|| settings.sources.iter().flatten().find_map(of_source))
}

/// Whether a source that reads headers finds one that is neither a key nor blank.
fn has_invalid_key(settings: &Settings, headers: &HeaderMap) -> bool {
    let of_source = |source: &Source| match source {
        Source::Headers(names) => {
            let mut values = names.iter().flat_map(|name| headers.get_all(name.0));
            values.any(|value| !is_blank(value.as_bytes()) && key::text(value).is_none())
        }
        _ => false,
    };
    settings.sources.iter().flatten().any(of_source)
}

/// All values of one name, in order.
#[must_use]
pub fn values(headers: &HeaderMap, name: &str) -> Vec<Vec<u8>> {
    let values = headers.get_all(name).into_iter();
    values.map(|value| value.as_bytes().to_vec()).collect()
}

fn is_blank(value: &[u8]) -> bool {
    value.iter().all(|byte| b" \t".contains(byte))
}

/// The host as the format of derived keys spells it.
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

fn derive(destination: &str, raw: &[u8]) -> String {
    let raw = raw.trim_ascii();
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).expect("a key of any length");
    mac.update(b"tsa-dst-v1");
    for part in [destination.as_bytes(), raw] {
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

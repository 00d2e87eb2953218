//! The only place that writes a header map.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::token::is_blank;

/// Up to so many names it costs less to compare them all than to hash one.
const FEW: usize = 12;

/// From so many names on, a map of the greatest size refuses a name once where many collide, though it
/// has room: it would double, and cannot.
const CROWDED: usize = 6_554;

/// What a caller sent under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// A value that is not blank, which is the only one now.
    Kept,
    /// Blank values.
    Blank,
    Absent,
}

/// Keeps the first value that is not blank, alone.
pub(crate) fn keep_first(headers: &mut HeaderMap, name: &HeaderName) -> Existing {
    if is_surely_absent(headers, name) {
        return Existing::Absent;
    }
    let values = headers.get_all(name);
    let Some(first) = values.iter().find(|value| !is_blank(value.as_bytes())) else {
        return Existing::Blank;
    };
    if values.iter().nth(1).is_some() {
        let first = first.clone();
        set(headers, name, first);
    }
    Existing::Kept
}

/// Makes this value the only one, and says whether it is there.
///
/// There is no room for it only where the map is full and has not had the name.
pub(crate) fn set(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) -> bool {
    // A full map refuses to replace, too, so the old values make room.
    if headers.keys_len() == headers.capacity() {
        clear(headers, name);
    }
    let again = (headers.keys_len() >= CROWDED).then(|| value.clone());
    let is_set = headers.try_insert(name, value).is_ok()
        || again.is_some_and(|value| headers.try_insert(name, value).is_ok());
    if !is_set {
        clear(headers, name);
    }
    is_set
}

pub(crate) fn clear(headers: &mut HeaderMap, name: &HeaderName) {
    if !is_surely_absent(headers, name) {
        headers.remove(name);
    }
}

/// Whether a look at few names found that this one is not among them.
fn is_surely_absent(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys_len() <= FEW && headers.keys().all(|other| other != name)
}

//! The only place that writes a header map.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::token::is_blank;

/// Keeps the first value that is not blank, alone, and says whether there is one.
pub(crate) fn keep_first(headers: &mut HeaderMap, name: &HeaderName) -> bool {
    let values = headers.get_all(name);
    let Some(first) = values.iter().find(|value| !is_blank(value.as_bytes())) else {
        return false;
    };
    if values.iter().nth(1).is_some() {
        let first = first.clone();
        set(headers, name, Some(first));
    }
    true
}

/// Makes this value the only one, and says whether it is there.
///
/// There is no room for it only where the map is full and has not had the name.
pub(crate) fn set(headers: &mut HeaderMap, name: &HeaderName, value: Option<HeaderValue>) -> bool {
    // A full map refuses to replace, too, so the old values make room.
    if value.is_none() || headers.keys_len() == headers.capacity() {
        headers.remove(name);
    }
    let Some(value) = value else { return false };
    // A map that cannot grow refuses once where many names collide, though it has room.
    let is_set =
        headers.try_insert(name, value.clone()).is_ok() || headers.try_insert(name, value).is_ok();
    if !is_set {
        headers.remove(name);
    }
    is_set
}

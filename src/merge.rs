//! What happens to a header that is already there; the only place that writes a header map.

use std::mem::ManuallyDrop;
use std::ptr;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Outcome;
use crate::header::X_SESSION_AFFINITY;
use crate::names::Names;

/// What happens to an affinity header that a request already carries.
///
/// Whatever the policy, at most one value is sent. A blank value (none but spaces and tabs) counts as
/// absent: Envoy hashes all of them to one replica. *Ours* is the key that a source gave. The first row
/// that applies:
///
/// | the request | `Keep` (default) | `Replace` |
/// |---|---|---|
/// | is a `CONNECT` for a tunnel, or goes to a host that the layer's list or table does not name | none | none |
/// | carries `NoAffinity` in its extensions | none | none |
/// | has one or more non-blank values | the first non-blank one, alone; no extractor is called; not checked against the key grammar | ours, else none |
/// | has none, or only blank ones, and there is a key | ours | ours |
/// | has none, or only blank ones, and there is no key | none | none |
///
/// With `.destinations` the table holds for the header that the request's row names. A row that does not name
/// one is like a host that is not named, and a value that is longer than its row takes is not sent.
///
/// With derivation (the feature `hmac`) the value of a row is what it is derived from: the derived key is
/// sent, also where the caller's header is kept, and none if `.derive_per_host` is set and the URI has no
/// host. Under a name of `.adopt_derived` the layer acts as under `Replace`.
///
/// The table holds for a header map that is full (24,576 names), with one exception: where our value
/// would add a name, the request goes on without it.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, MergePolicy, Outcome, SessionAffinityLayer};
///
/// let keep = SessionAffinityLayer::new().or(AffinityKey::from_static("ours"));
/// let replace = keep.clone().merge_policy(MergePolicy::Replace);
///
/// let request = http::Request::get("/").header("x-session-affinity", "theirs").body(())?;
/// let (mut parts, ()) = request.into_parts();
///
/// let outcome = keep.stamp(&parts.method, &parts.uri, &mut parts.headers, &parts.extensions);
/// assert_eq!(outcome, Outcome::Kept);
/// assert_eq!(parts.headers["x-session-affinity"], "theirs");
///
/// let outcome = replace.stamp(&parts.method, &parts.uri, &mut parts.headers, &parts.extensions);
/// assert_eq!(outcome, Outcome::Replaced);
/// assert_eq!(parts.headers["x-session-affinity"], "ours");
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MergePolicy {
    /// The caller's header wins.
    #[default]
    Keep,
    /// The layer owns the header: it is sent as ours or not at all. For a trust boundary.
    Replace,
}

/// What a header map holds under one name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Absent,
    /// Nothing but blank values.
    Blank,
    /// One value, and it is not blank.
    One,
    /// Several values, not all of them blank.
    Several,
}

/// The name where a layer has none of its own.
pub(crate) static DEFAULT_NAME: HeaderName = X_SESSION_AFFINITY;

/// Comparing this many names costs less than hashing one and looking for it, found or not
/// (`benches/instructions.rs`).
pub(crate) const SCANNED_NAMES: usize = 8;

/// The same for the default name, which the compiler compares as a constant at half the cost.
const SCANNED_NAMES_FOR_DEFAULT: usize = 20;

/// In a larger map it is cheaper to look for each of the names than to walk over all that are there.
const STRIPPED_BY_WALK: usize = 64;

/// With fewer names a [`HeaderMap`] refuses nothing: it has room, and where many collide it grows, unless
/// a fifth of its 32,768 places are taken.
const CROWDED_NAMES: usize = 6_554;

impl Existing {
    /// Looks for a name; for the default one where it is `None`.
    #[expect(
        clippy::inline_always,
        reason = "only inlined is the default name compared as a constant"
    )]
    #[inline(always)]
    pub(crate) fn find(headers: &HeaderMap, name: Option<&HeaderName>) -> Self {
        // All three find the same: where the lines are drawn changes the cost alone.
        match name {
            None if headers.keys_len() <= SCANNED_NAMES_FOR_DEFAULT => {
                // Never dropped, so that no code for the drop of a name stands in the loop.
                let default = ManuallyDrop::new(X_SESSION_AFFINITY);
                Self::find_by_scan(headers, |key| *key == *default)
            }
            Some(name) if headers.keys_len() <= SCANNED_NAMES => {
                Self::find_by_scan(headers, |key| key == name)
            }
            _ => Self::find_by_hash(headers, name.unwrap_or(&DEFAULT_NAME)),
        }
    }

    #[inline]
    fn find_by_hash(headers: &HeaderMap, name: &HeaderName) -> Self {
        if has_repeated_names(headers) {
            return Self::survey_by_hash(headers, name);
        }
        headers.get(name).map_or(Self::Absent, Self::of_one)
    }

    /// Apart from the one value, which needs fewer registers.
    #[inline(never)]
    fn survey_by_hash(headers: &HeaderMap, name: &HeaderName) -> Self {
        Self::survey(headers.get_all(name).iter())
    }

    #[expect(
        clippy::inline_always,
        reason = "only inlined is the default name compared as a constant"
    )]
    #[inline(always)]
    fn find_by_scan(headers: &HeaderMap, is_it: impl Fn(&HeaderName) -> bool) -> Self {
        let mut keys = headers.keys();
        if !keys.any(is_it) {
            return Self::Absent;
        }
        // Counted from what is left, so that the loop does not count.
        Self::find_at(headers, headers.keys_len() - keys.len() - 1)
    }

    /// Apart from the scan, which is short enough to be inlined.
    #[inline(never)]
    fn find_at(headers: &HeaderMap, index: usize) -> Self {
        if has_repeated_names(headers) {
            return Self::survey_at(headers, index);
        }
        let mut values = headers.values();
        values.nth(index).map_or(Self::Absent, Self::of_one)
    }

    /// Apart for the same reason.
    #[inline(never)]
    fn survey_at(headers: &HeaderMap, index: usize) -> Self {
        Self::survey(values_at(headers, index))
    }

    #[inline]
    fn survey<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Self {
        values.fold(Self::Absent, Self::and)
    }

    #[inline]
    fn of_one(value: &HeaderValue) -> Self {
        Self::Absent.and(value)
    }

    /// Returns what there is with one more value.
    #[inline]
    fn and(self, value: &HeaderValue) -> Self {
        match self {
            Self::Absent | Self::Blank if is_blank(value) => Self::Blank,
            Self::Absent => Self::One,
            _ => Self::Several,
        }
    }
}

/// Returns the values of the name at this place, without a hash: they come one after the other.
pub(crate) fn values_at(headers: &HeaderMap, index: usize) -> impl Iterator<Item = &HeaderValue> {
    let name = headers.keys().nth(index);
    let is_it = move |(key, _): &(&HeaderName, _)| name.is_some_and(|name| ptr::eq(*key, name));
    headers
        .iter()
        .skip_while(move |pair| !is_it(pair))
        .take_while(is_it)
        .map(|(_, value)| value)
}

/// Makes `value` the only one; of no name, under the default one.
// Not to be inlined elsewhere: here the default is the one constant that is written, so that it needs no
// clone, and the compiler is free to compute its hash.
#[inline(never)]
pub(crate) fn set(
    headers: &mut HeaderMap,
    name: Option<&HeaderName>,
    value: HeaderValue,
) -> Outcome {
    if headers.keys_len() >= CROWDED_NAMES {
        return set_in_crowd(headers, name.unwrap_or(&DEFAULT_NAME), &value);
    }
    let inserted = match name {
        None => headers.try_insert(X_SESSION_AFFINITY, value),
        Some(name) => headers.try_insert(name, value),
    };
    match inserted {
        Ok(None) => Outcome::Stamped,
        Ok(Some(_)) => Outcome::Replaced,
        // No version of `http` refuses so early; in one that does, still no other value leaves.
        Err(_) => {
            clear(headers, name.unwrap_or(&DEFAULT_NAME));
            Outcome::MapFull
        }
    }
}

/// The same in a map that can refuse a value.
#[cold]
fn set_in_crowd(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) -> Outcome {
    // A full map refuses to replace, too, so the old value makes room.
    let cleared = clear(headers, name);
    // One that is not full refuses once where many names collide, and then tells them apart. The value is
    // appended, since the one insertion in `set` is inlined for as long as there is no other.
    let added = [(); 2]
        .iter()
        .any(|()| headers.try_append(name, value.clone()).is_ok());
    match (added, cleared) {
        (true, false) => Outcome::Stamped,
        (true, true) => Outcome::Replaced,
        (false, _) => Outcome::MapFull,
    }
}

/// Leaves the first value that is not blank, alone.
#[cold]
pub(crate) fn keep_first(headers: &mut HeaderMap, name: &HeaderName) {
    let first = headers
        .get_all(name)
        .iter()
        .find(|value| !is_blank(value))
        .cloned();
    if let Some(value) = first {
        set(headers, Some(name), value);
    }
}

/// Puts `value` in the place of the only one, which needs no room.
pub(crate) fn exchange(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    if let Some(only) = headers.get_mut(name) {
        *only = value;
    }
}

/// Leaves no value; `true` if there was one.
#[cold]
pub(crate) fn clear(headers: &mut HeaderMap, name: &HeaderName) -> bool {
    headers.remove(name).is_some()
}

/// Takes out every header of these names but the one that is kept.
#[inline]
pub(crate) fn strip(headers: &mut HeaderMap, names: &Names, kept: Option<&HeaderName>) {
    if !names.is_empty() {
        strip_some(headers, names, kept);
    }
}

fn strip_some(headers: &mut HeaderMap, names: &Names, kept: Option<&HeaderName>) {
    if headers.keys_len() > STRIPPED_BY_WALK {
        for name in names.iter().filter(|name| Some(*name) != kept) {
            clear(headers, name);
        }
        return;
    }
    let find = |headers: &HeaderMap| headers.keys().find_map(|key| names.get_except(kept, key));
    while let Some(stray) = find(headers) {
        clear(headers, stray);
    }
}

/// A map without them has as many values as names, and needs no survey, which finds the same for more.
fn has_repeated_names(headers: &HeaderMap) -> bool {
    headers.len() != headers.keys_len()
}

/// Whether a value has nothing but spaces and tabs.
#[inline]
pub(crate) fn is_blank(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .iter()
        .all(|byte| matches!(byte, b' ' | b'\t'))
}

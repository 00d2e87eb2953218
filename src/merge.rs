//! What happens to a header that is already present. Nothing else writes the header.

use std::mem::ManuallyDrop;
use std::ptr;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Outcome;
use crate::header::X_SESSION_AFFINITY;
use crate::names::Names;

/// What happens to an affinity header that a request already carries.
///
/// Whatever the policy, at most one value is sent.
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
/// let (mut sent, ()) = request.into_parts();
///
/// let outcome = keep.stamp(&sent.method, &sent.uri, &mut sent.headers, &sent.extensions);
/// assert_eq!(outcome, Outcome::Kept);
/// assert_eq!(sent.headers["x-session-affinity"], "theirs");
///
/// let outcome = replace.stamp(&sent.method, &sent.uri, &mut sent.headers, &sent.extensions);
/// assert_eq!(outcome, Outcome::Replaced);
/// assert_eq!(sent.headers["x-session-affinity"], "ours");
/// # Ok::<_, http::Error>(())
/// ```
///
/// # What is sent
///
/// The first row that applies decides. *Ours* is the key that a source gave. A blank value, which has only
/// spaces and tabs, counts as absent, because Envoy hashes all blank values to one replica.
///
/// | the request | `Keep` (default) | `Replace` |
/// |---|---|---|
/// | is a `CONNECT` for a tunnel, or goes to a host that the layer's list or table does not name | none | none |
/// | carries `NoAffinity` in its extensions | none | none |
/// | has one or more non-blank values | the first non-blank one, alone; no extractor is called; not checked against the key grammar | ours, else none |
/// | has none, or only blank ones, and there is a key | ours | ours |
/// | has none, or only blank ones, and there is no key | none | none |
///
/// - With `.destinations`, the table applies to the header that the request's row names. If the row does not
///   name one, nothing is sent, as for a host that is not named. A value that is longer than the row takes is
///   not sent.
/// - With a derivation (feature `hmac`), the key derived from the table's value is sent, even if the caller's
///   header is kept. None is sent if `.derive_per_host` is set and the URI has no host. Under a name of
///   `.adopt_derived`, the layer acts as under `Replace`.
/// - If the header map is full (24,576 names) and our value would add a name, the request is sent without a
///   value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MergePolicy {
    /// The caller's header wins.
    #[default]
    Keep,
    /// The layer owns the header: it is sent as ours or not at all. Use it at a trust boundary.
    Replace,
}

/// What a header map holds under one name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Absent,
    /// One value that is not blank.
    One,
    /// Several values, or only blank ones.
    Other,
}

/// The name that a layer uses if none is set.
pub(crate) static DEFAULT_NAME: HeaderName = X_SESSION_AFFINITY;

/// Comparing this many names costs less than a lookup by hash, whether it finds one or not
/// (`benches/instructions.rs`).
pub(crate) const SCANNED_NAMES: usize = 8;

/// The same for the default name. It is compared as a constant, for half the cost.
const SCANNED_NAMES_FOR_DEFAULT: usize = 20;

/// In a larger map, removing each of the names by hash is cheaper than a walk over all headers.
const STRIPPED_BY_WALK: usize = 64;

/// A [`HeaderMap`] with fewer names never refuses an insertion: it has room, and it grows if many hashes
/// collide, unless a fifth of its 32,768 slots are taken.
const CROWDED_NAMES: usize = 6_554;

impl Existing {
    /// Looks for a header, by its name or, for `None`, by the default name.
    #[expect(
        clippy::inline_always,
        reason = "the default name is compared as a constant only if this is inlined"
    )]
    #[inline(always)]
    pub(crate) fn find(headers: &HeaderMap, name: Option<&HeaderName>) -> Self {
        // All three find the same header: the limits change only the cost.
        match name {
            None if headers.keys_len() <= SCANNED_NAMES_FOR_DEFAULT => {
                // Never dropped, so that the loop has no code to drop a name.
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

    /// Not inlined: a single value needs fewer registers.
    #[inline(never)]
    fn survey_by_hash(headers: &HeaderMap, name: &HeaderName) -> Self {
        let mut values = headers.get_all(name).iter();
        // `Other` would always be right, but cost more: `keep_first` looks again.
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(only), None) => Self::of_one(only),
            _ => Self::Other,
        }
    }

    #[expect(
        clippy::inline_always,
        reason = "the default name is compared as a constant only if this is inlined"
    )]
    #[inline(always)]
    fn find_by_scan(headers: &HeaderMap, is_it: impl Fn(&HeaderName) -> bool) -> Self {
        let mut keys = headers.keys();
        if !keys.any(is_it) {
            return Self::Absent;
        }
        // Computed from what is left, so that the loop does not count.
        Self::find_at(headers, headers.keys_len() - keys.len() - 1)
    }

    /// Not inlined, unlike the scan, which is shorter.
    #[inline(never)]
    fn find_at(headers: &HeaderMap, index: usize) -> Self {
        if has_repeated_names(headers) {
            return Self::survey_at(headers, index);
        }
        let mut values = headers.values();
        values.nth(index).map_or(Self::Absent, Self::of_one)
    }

    /// Not inlined for the same reason. The values of one name follow each other.
    #[inline(never)]
    fn survey_at(headers: &HeaderMap, index: usize) -> Self {
        let name = headers.keys().nth(index);
        let mut found = Self::Absent;
        let mut pairs = headers.iter();
        // Each name before it has at least one value.
        let mut pair = pairs.nth(index);
        while let Some((key, value)) = pair {
            let is_it = name.is_some_and(|name| ptr::eq(key, name));
            match (found, is_it) {
                (Self::Absent, false) => {}
                (Self::Absent, true) => found = Self::of_one(value),
                (Self::One | Self::Other, true) => return Self::Other,
                (Self::One | Self::Other, false) => break,
            }
            pair = pairs.next();
        }
        found
    }

    #[inline]
    fn of_one(value: &HeaderValue) -> Self {
        if is_blank(value) {
            Self::Other
        } else {
            Self::One
        }
    }
}

/// Returns the values of the name at this index without hashing it: they follow each other.
pub(crate) fn values_at(headers: &HeaderMap, index: usize) -> impl Iterator<Item = &HeaderValue> {
    let name = headers.keys().nth(index);
    let is_it = move |(key, _): &(&HeaderName, _)| name.is_some_and(|name| ptr::eq(*key, name));
    headers
        .iter()
        .skip_while(move |pair| !is_it(pair))
        .take_while(is_it)
        .map(|(_, value)| value)
}

/// Makes `value` the only one of this header, or, for `None`, of the default header.
// Not inlined: here the default name is a constant, which needs no clone, and whose hash the compiler can
// compute.
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
        // No version of `http` refuses this early. If one does, no other value is sent.
        Err(_) => {
            clear(headers, name.unwrap_or(&DEFAULT_NAME));
            Outcome::MapFull
        }
    }
}

/// The same for a map that can refuse a value.
#[cold]
fn set_in_crowd(headers: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) -> Outcome {
    // A full map also refuses to replace a value, so the old one is removed first.
    let cleared = clear(headers, name);
    // A map that is not full may refuse once if many hashes collide, and then changes its hash function. The
    // value is appended, because the insertion in `set` is inlined only as long as it is the only one.
    let added = [(); 2]
        .iter()
        .any(|()| headers.try_append(name, value.clone()).is_ok());
    match (added, cleared) {
        (true, false) => Outcome::Stamped,
        (true, true) => Outcome::Replaced,
        (false, _) => Outcome::MapFull,
    }
}

/// Of [`Existing::Other`], keeps only the first value that is not blank. Returns `false` if all are blank.
#[cold]
pub(crate) fn keep_first(headers: &mut HeaderMap, name: &HeaderName) -> bool {
    if !has_repeated_names(headers) {
        // The only value is blank.
        return false;
    }
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.find(|value| !is_blank(value)).cloned() else {
        return false;
    };
    set(headers, Some(name), first);
    true
}

/// Replaces the only value, which needs no room.
pub(crate) fn exchange(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    if let Some(only) = headers.get_mut(name) {
        *only = value;
    }
}

/// Removes the header. Returns `true` if it was present.
#[cold]
pub(crate) fn clear(headers: &mut HeaderMap, name: &HeaderName) -> bool {
    headers.remove(name).is_some()
}

/// Removes every header of these names except the one that is kept.
#[inline]
pub(crate) fn strip(headers: &mut HeaderMap, names: &Names, kept: Option<&HeaderName>) {
    if !names.is_empty() {
        strip_some(headers, names, kept);
    }
}

fn strip_some(headers: &mut HeaderMap, names: &Names, kept: Option<&HeaderName>) {
    // Both ways remove the same headers.
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

/// Whether some name has several values. If not, counting values would find the same, at a higher cost.
fn has_repeated_names(headers: &HeaderMap) -> bool {
    headers.len() != headers.keys_len()
}

/// Whether a value has only spaces and tabs, which are the lowest bytes that a header value can have.
#[inline]
pub(crate) fn is_blank(value: &HeaderValue) -> bool {
    // From the end, which is where the loop is shortest.
    value.as_bytes().iter().rev().all(|byte| *byte <= b' ')
}

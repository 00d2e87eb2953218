//! Finds the row of a table for the host of a request.

use std::mem;

use http::Uri;

use super::{HostPattern, host_of};

/// Rows in order: the first whose pattern matches applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table<R> {
    rows: Box<[R]>,
    /// The first row whose authority has this length modulo [`LENGTHS`], or [`NONE`].
    first: [usize; LENGTHS],
    /// One for each row.
    links: Box<[Link]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    /// The next row whose authority has the same length modulo [`LENGTHS`], or [`NONE`].
    next: usize,
    /// Whether an earlier row may match the same host, spelled differently.
    is_shadowed: bool,
}

const LENGTHS: usize = 64;

/// The index of no row.
const NONE: usize = usize::MAX;

impl<R> Table<R> {
    pub(crate) fn new(
        rows: impl IntoIterator<Item = R>,
        pattern_of: impl Fn(&R) -> &HostPattern,
    ) -> Self {
        let rows: Box<[R]> = rows.into_iter().collect();
        let mut first = [NONE; LENGTHS];
        let link = |(at, row): (usize, &R)| {
            let pattern = pattern_of(row);
            let mut earlier = rows[..at].iter().map(&pattern_of);
            Link {
                next: mem::replace(&mut first[length(&pattern.authority)], at),
                is_shadowed: earlier.any(|it| it.shadows(pattern)),
            }
        };
        // From the last row to the first, so that each links to the next.
        let mut links: Vec<_> = rows.iter().enumerate().rev().map(link).collect();
        links.reverse();
        Self {
            links: links.into(),
            first,
            rows,
        }
    }

    pub(crate) const fn rows(&self) -> &[R] {
        &self.rows
    }

    /// Returns the first row whose pattern matches and that `accepts`.
    #[inline]
    pub(crate) fn find(
        &self,
        uri: &Uri,
        pattern_of: impl Fn(&R) -> &HostPattern,
        accepts: impl Fn(&R) -> bool,
    ) -> Option<&R> {
        let authority = uri.authority()?.as_str();
        let mut at = self.first[length(authority)];
        while let (Some(row), Some(link)) = (self.rows.get(at), self.links.get(at)) {
            if pattern_of(row).is_spelled(authority, uri) && accepts(row) {
                if link.is_shadowed {
                    break;
                }
                return Some(row);
            }
            at = link.next;
        }
        let host = host_of(authority);
        let matches = |row: &&R| pattern_of(row).matches_host(host, uri) && accepts(row);
        self.rows.iter().find(matches)
    }
}

/// Any other function of the text would find the same rows, and compare more of them.
const fn length(authority: &str) -> usize {
    authority.len() % LENGTHS
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self {
            rows: Box::default(),
            first: [NONE; LENGTHS],
            links: Box::default(),
        }
    }
}

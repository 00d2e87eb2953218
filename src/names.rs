//! A small set of header names that a request is searched for.

use http::HeaderName;

/// Header names, behind a filter that passes over most others unread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    names: Box<[HeaderName]>,
    /// The [`mark`] of each name.
    marks: u64,
}

impl Names {
    pub(crate) fn extend(&mut self, names: impl IntoIterator<Item = HeaderName>) {
        let mut all = self.names.to_vec();
        for name in names {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        self.marks = all.iter().fold(0, |marks, name| marks | mark(name));
        self.names = all.into();
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, HeaderName> {
        self.names.iter()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.marks == 0
    }

    /// Returns the name of the set that equals this one.
    #[inline]
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&HeaderName> {
        if self.marks & mark(name) == 0 {
            return None;
        }
        self.names.iter().find(|it| *it == name)
    }
}

/// Returns one bit that depends on the length of a name and on its last byte.
#[inline]
fn mark(name: &HeaderName) -> u64 {
    let name = name.as_str().as_bytes();
    let last = name.last().copied().unwrap_or_default();
    let spread = name.len().wrapping_mul(5).wrapping_add(usize::from(last));
    1 << (spread % 64)
}

//! A small set of header names that a request is searched for.

use http::HeaderName;

/// Header names, behind a filter that passes over most others unread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    names: Box<[HeaderName]>,
    marks: Marks,
}

impl Names {
    pub(crate) fn extend(&mut self, names: impl IntoIterator<Item = HeaderName>) {
        let mut all = self.names.to_vec();
        for name in names {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        self.marks = all.iter().map(Marks::of).fold(Marks::default(), Marks::or);
        self.names = all.into();
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, HeaderName> {
        self.names.iter()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the name of the set that equals this one.
    #[inline]
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&HeaderName> {
        if !self.marks.may_have(name) {
            return None;
        }
        self.names.iter().find(|it| *it == name)
    }
}

/// A bit for each length that a name has, and one for each last byte, both modulo 64.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    lengths: u64,
    last_bytes: u64,
}

impl Marks {
    fn of(name: &HeaderName) -> Self {
        let name = name.as_str().as_bytes();
        Self {
            lengths: 1 << (name.len() % 64),
            last_bytes: 1 << (name[name.len() - 1] % 64),
        }
    }

    const fn or(self, other: Self) -> Self {
        Self {
            lengths: self.lengths | other.lengths,
            last_bytes: self.last_bytes | other.last_bytes,
        }
    }

    #[inline]
    fn may_have(self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        let may_end_in = |last: &u8| self.last_bytes >> (last % 64) & 1 == 1;
        self.lengths >> (name.len() % 64) & 1 == 1 && name.last().is_some_and(may_end_in)
    }
}

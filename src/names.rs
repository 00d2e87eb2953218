//! A small set of header names, to find in a request.

use std::hash::{Hash, Hasher};

use http::HeaderName;

/// Header names, with a filter that rules out most others without comparing them.
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
        self.get_except(None, name)
    }

    /// The same, but never returns `exception`.
    #[inline]
    pub(crate) fn get_except(
        &self,
        exception: Option<&HeaderName>,
        name: &HeaderName,
    ) -> Option<&HeaderName> {
        if !self.marks.may_have(name) || exception == Some(name) {
            return None;
        }
        self.names.iter().find(|it| *it == name)
    }
}

/// A bit for each length of a name in the set, and one for each last byte, both modulo 64.
///
/// Letting a name through is never wrong: it is compared afterwards.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    lengths: u64,
    last_bytes: u64,
}

impl Marks {
    fn of(name: &HeaderName) -> Self {
        let end = End::of(name);
        Self {
            lengths: 1 << (end.length % 64),
            last_bytes: 1 << (end.last_byte % 64),
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
        let end = End::of(name);
        self.last_bytes >> (end.last_byte % 64) & 1 == 1
            && self.lengths >> (end.length % 64) & 1 == 1
    }
}

/// A hasher that remembers the length and the last byte of what was hashed last.
///
/// For a standard name that is a number, and for any other name its text. So the text of a standard name,
/// which costs more to get, is not needed. Equal names hash the same bytes.
#[derive(Default)]
struct End {
    length: usize,
    last_byte: u8,
}

impl End {
    #[inline]
    fn of(name: &HeaderName) -> Self {
        let mut end = Self::default();
        name.hash(&mut end);
        end
    }
}

impl Hasher for End {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        if let [.., last] = bytes {
            (self.length, self.last_byte) = (bytes.len(), *last);
        }
    }

    fn finish(&self) -> u64 {
        u64::from(self.last_byte)
    }
}

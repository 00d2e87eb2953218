//! A small set of header names that a request is searched for.

use http::HeaderName;

/// Header names, behind the lengths that they have.
///
/// Few names of a request have one of these lengths, so that most are passed over unread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    names: Box<[HeaderName]>,
    /// Bit `n` is set where a name has `n` bytes, bit 63 for all that have more.
    lengths: u64,
}

impl Names {
    pub(crate) fn extend(&mut self, names: impl IntoIterator<Item = HeaderName>) {
        let mut all = self.names.to_vec();
        for name in names {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        self.lengths = all
            .iter()
            .fold(0, |lengths, name| lengths | length_bit(name));
        self.names = all.into();
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, HeaderName> {
        self.names.iter()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.lengths == 0
    }

    /// Returns the name of the set that equals this one.
    #[inline]
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&HeaderName> {
        if self.lengths & length_bit(name) == 0 {
            return None;
        }
        self.names.iter().find(|it| *it == name)
    }
}

#[inline]
fn length_bit(name: &HeaderName) -> u64 {
    1 << name.as_str().len().min(63)
}

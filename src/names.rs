//! A small set of header names that a request is searched for.

use std::sync::Arc;

use http::HeaderName;

/// Header names, behind the lengths that they have.
///
/// Few names of a request have one of these lengths, so that most are passed over unread.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    names: Arc<[HeaderName]>,
    /// Bit `n` is set where a name has `n` bytes, bit 63 for all that have more.
    lengths: u64,
}

impl Names {
    /// Adds names to a set, which may not be there yet.
    pub(crate) fn extend(set: &mut Option<Self>, names: impl IntoIterator<Item = HeaderName>) {
        let mut all: Vec<_> = set.iter().flat_map(Self::iter).cloned().collect();
        for name in names {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        let lengths = all
            .iter()
            .fold(0, |lengths, name| lengths | length_bit(name));
        *set = Some(Self {
            names: all.into(),
            lengths,
        });
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, HeaderName> {
        self.names.iter()
    }

    #[inline]
    pub(crate) fn contains(&self, name: &HeaderName) -> bool {
        self.lengths & length_bit(name) != 0 && self.names.contains(name)
    }
}

#[inline]
fn length_bit(name: &HeaderName) -> u64 {
    1 << name.as_str().len().min(63)
}

//! The list of destinations that a layer uses.

use std::sync::Arc;

use http::Uri;

use super::Destination;
use crate::HostPattern;
use crate::host::Table;

/// An ordered list of destinations. The first that matches a request decides what is sent.
///
/// [`SessionAffinityLayer::destinations`](crate::SessionAffinityLayer::destinations) takes one.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{Destination, Destinations};
///
/// let destinations = Destinations::known()
///     .with(Destination::from_static("llm.internal", "x-session-id"));
///
/// let row = destinations.find(&"https://api.x.ai/v1/chat/completions".parse()?);
/// assert_eq!(row.and_then(Destination::header_name).unwrap(), "x-grok-conv-id");
/// assert!(destinations.find(&"https://example.com/".parse()?).is_none());
/// # Ok::<_, http::uri::InvalidUri>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations(Arc<Table<Destination>>);

impl Destinations {
    /// Makes a list of your own rows; the first that matches decides.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = Destination>) -> Self {
        rows.into_iter().collect()
    }

    /// Adds a row before all others.
    #[must_use]
    pub fn with(self, row: Destination) -> Self {
        self.with_all([row])
    }

    /// Adds these rows before all others, in their order.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::Destinations;
    ///
    /// let all = Destinations::known().with_all(Destinations::unconfirmed());
    /// assert_eq!(all.iter().next(), Destinations::unconfirmed().iter().next());
    /// ```
    #[must_use]
    pub fn with_all(self, rows: impl IntoIterator<Item = Destination>) -> Self {
        rows.into_iter().chain(self.iter().cloned()).collect()
    }

    /// Removes all rows with this host pattern.
    ///
    /// The patterns are compared, not the hosts that they match.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{Destinations, HostPattern};
    ///
    /// let xai = HostPattern::from_static("api.x.ai");
    /// let destinations = Destinations::known().without(&xai);
    /// assert!(destinations.iter().all(|row| row.host() != &xai));
    /// ```
    #[must_use]
    pub fn without(self, host: &HostPattern) -> Self {
        self.into_iter().filter(|row| row.host != *host).collect()
    }

    /// Returns the first row that matches a request to this URI.
    ///
    /// A URI without an authority matches none.
    #[must_use]
    #[inline]
    pub fn find(&self, uri: &Uri) -> Option<&Destination> {
        self.0
            .find(uri, Destination::host, |row| row.accepts_path(uri))
    }

    /// Returns the rows in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Destination> {
        self.0.rows().iter()
    }
}

impl FromIterator<Destination> for Destinations {
    fn from_iter<I: IntoIterator<Item = Destination>>(rows: I) -> Self {
        Self(Arc::new(Table::new(rows, Destination::host)))
    }
}

impl From<Destination> for Destinations {
    fn from(row: Destination) -> Self {
        Self::new([row])
    }
}

impl<'a> IntoIterator for &'a Destinations {
    type Item = &'a Destination;
    type IntoIter = std::slice::Iter<'a, Destination>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Destinations {
    type Item = Destination;
    type IntoIter = std::vec::IntoIter<Destination>;

    fn into_iter(self) -> Self::IntoIter {
        let rows: Vec<_> = self.iter().cloned().collect();
        rows.into_iter()
    }
}

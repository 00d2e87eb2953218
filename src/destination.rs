//! Which header or body field a provider reads.

mod invalid;
mod known;
mod list;

use http::{HeaderName, Uri};

use crate::HostPattern;
use crate::merge::DEFAULT_NAME;

pub use invalid::InvalidDestination;
pub use list::Destinations;

/// A provider: its hosts, and where it reads the session.
///
/// It is a row of [`Destinations`]. A row names a header ([`header`](Self::header)), a body field
/// ([`body_field`](Self::body_field)), both ([`with_body_field`](Self::with_body_field)) or nothing
/// ([`none`](Self::none)). A [`SessionAffinityLayer`](crate::SessionAffinityLayer) uses the header, and a
/// `PromptCacheKeyLayer` (feature `body-field`) uses the field.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::Destination;
///
/// let gateway = Destination::header("llm.internal:8443", "x-session-id")?.max_len(64)?;
/// let search = Destination::none("*.search.internal")?;
/// assert!(gateway.matches(&"https://LLM.internal:8443/v1/chat".parse()?));
///
/// let error = Destination::header("llm.internal", "x session").unwrap_err();
/// assert_eq!(error.to_string(), "destination has an invalid header name");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    host: HostPattern,
    /// Empty for any path.
    path_suffixes: Box<[Box<str>]>,
    header_name: Option<HeaderName>,
    /// Whether it is the default name, which is compared and written as a constant.
    has_default_name: bool,
    body_field: Option<Box<str>>,
    max_len: Option<usize>,
}

/// The longest name of a body field, in bytes.
const MAX_FIELD_LEN: usize = 64;

impl Destination {
    /// Makes a row for a host that reads this header.
    ///
    /// # Errors
    ///
    /// If the host is not a [`HostPattern`] or the name is not a header name.
    pub fn header<H, N>(host: H, name: N) -> Result<Self, InvalidDestination>
    where
        H: TryInto<HostPattern, Error: Into<InvalidDestination>>,
        N: TryInto<HeaderName, Error: Into<InvalidDestination>>,
    {
        let mut row = Self::none(host)?;
        let name = name.try_into().map_err(Into::into)?;
        row.has_default_name = name == DEFAULT_NAME;
        row.header_name = Some(name);
        Ok(row)
    }

    /// Makes a row for a host that reads this top-level field of a JSON body.
    ///
    /// # Errors
    ///
    /// If the host is not a [`HostPattern`], or the field is not 1 to 64 visible ASCII characters other than
    /// `"` and `\`.
    pub fn body_field<H>(host: H, field: &str) -> Result<Self, InvalidDestination>
    where
        H: TryInto<HostPattern, Error: Into<InvalidDestination>>,
    {
        Self::none(host)?.with_body_field(field)
    }

    /// Makes a row for a host that is known to read nothing, so nothing is sent there.
    ///
    /// Nothing is sent to a host that is not listed either; only the outcome differs. It is
    /// [`HeaderNotRead`](crate::Outcome::HeaderNotRead) instead of
    /// [`HostNotAllowed`](crate::Outcome::HostNotAllowed).
    ///
    /// # Errors
    ///
    /// If the host is not a [`HostPattern`].
    pub fn none<H>(host: H) -> Result<Self, InvalidDestination>
    where
        H: TryInto<HostPattern, Error: Into<InvalidDestination>>,
    {
        Ok(Self {
            host: host.try_into().map_err(Into::into)?,
            path_suffixes: Box::default(),
            header_name: None,
            has_default_name: false,
            body_field: None,
            max_len: None,
        })
    }

    /// Makes a row from literals, as [`header`](Self::header) does.
    ///
    /// # Panics
    ///
    /// If the host or the name is not valid; the message says which one.
    #[must_use]
    #[track_caller]
    pub fn from_static(host: &'static str, header_name: &'static str) -> Self {
        match Self::header(host, header_name) {
            Ok(row) => row,
            Err(error) => panic!("{error}"),
        }
    }

    /// Adds the body field that the host reads, besides the header if there is one.
    ///
    /// # Errors
    ///
    /// If the field is not 1 to 64 visible ASCII characters other than `"` and `\`.
    pub fn with_body_field(mut self, field: &str) -> Result<Self, InvalidDestination> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if field.is_empty() || field.len() > MAX_FIELD_LEN || !field.bytes().all(is_plain) {
            return Err(InvalidDestination::field());
        }
        self.body_field = Some(field.into());
        Ok(self)
    }

    /// Restricts the row to paths that end in one of these suffixes, such as `/chat/completions`.
    ///
    /// The query is ignored, and so is one trailing slash of the request's path.
    ///
    /// # Errors
    ///
    /// If the list is empty, or if a suffix does not start with `/` or has nothing after it.
    pub fn path_suffixes<'a>(
        mut self,
        suffixes: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, InvalidDestination> {
        let suffixes: Vec<_> = suffixes.into_iter().collect();
        let is_suffix = |suffix: &&str| suffix.starts_with('/') && suffix.len() > 1;
        if suffixes.is_empty() || !suffixes.iter().all(is_suffix) {
            return Err(InvalidDestination::path_suffix());
        }
        self.path_suffixes = suffixes.into_iter().map(Into::into).collect();
        Ok(self)
    }

    /// Sets the maximum length, in bytes, of a value that the host accepts.
    ///
    /// A longer value is not sent ([`TooLong`](crate::Outcome::TooLong)).
    ///
    /// # Errors
    ///
    /// If it is zero.
    pub fn max_len(mut self, bytes: usize) -> Result<Self, InvalidDestination> {
        if bytes == 0 {
            return Err(InvalidDestination::max_len());
        }
        self.max_len = Some(bytes);
        Ok(self)
    }

    /// Returns the hosts of the row.
    #[must_use]
    pub const fn host(&self) -> &HostPattern {
        &self.host
    }

    /// Returns the header that the host reads, if any.
    #[must_use]
    pub const fn header_name(&self) -> Option<&HeaderName> {
        self.header_name.as_ref()
    }

    pub(crate) const fn has_default_name(&self) -> bool {
        self.has_default_name
    }

    /// Returns the body field that the host reads, if any.
    #[must_use]
    pub fn body_field_name(&self) -> Option<&str> {
        self.body_field.as_deref()
    }

    /// Returns the maximum length, in bytes, of a value that the host accepts, if it is known.
    #[must_use]
    pub const fn max_key_len(&self) -> Option<usize> {
        self.max_len
    }

    /// Returns whether a request to this URI goes to this destination.
    #[must_use]
    pub fn matches(&self, uri: &Uri) -> bool {
        self.host.matches(uri) && self.accepts_path(uri)
    }

    /// Whether the row applies to this path.
    #[inline]
    fn accepts_path(&self, uri: &Uri) -> bool {
        self.path_suffixes.is_empty() || self.matches_path(uri.path())
    }

    fn matches_path(&self, path: &str) -> bool {
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut suffixes = self.path_suffixes.iter();
        suffixes.any(|suffix| path.ends_with(&**suffix))
    }
}

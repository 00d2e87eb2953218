//! Decides which value of the header a request is sent with.

mod settings;

#[cfg(feature = "body-field")]
use http::HeaderValue;
use http::{Extensions, HeaderMap, Method, Request, Uri};

use crate::merge::{Existing, clear, keep_first, set};
use crate::outcome::Carrier;
use crate::{KeyExtractor, MergePolicy, Outcome, RequestHead};

use settings::Target;
pub(crate) use settings::{Settings, admit, is_tunnel, respect_marker};

/// What a layer and its services share: the source of keys, and the settings.
#[derive(Clone, Debug)]
pub(crate) struct Stamp<K> {
    pub(crate) extractor: K,
    pub(crate) settings: Settings,
}

/// A request, whole or in parts. It is read first and written afterwards.
pub(crate) trait Stampable {
    fn head(&self) -> RequestHead<'_>;
    fn headers_mut(&mut self) -> &mut HeaderMap;
}

/// The parts of a request that are read, and the headers, which are written.
pub(crate) struct StampableParts<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a mut HeaderMap,
    pub(crate) extensions: &'a Extensions,
}

impl<K: KeyExtractor> Stamp<K> {
    /// Sets the header and reports the outcome.
    #[inline]
    pub(crate) fn stamp(&self, request: &mut impl Stampable) -> Outcome {
        let settings = &self.settings;
        let (outcome, carrier) = match settings.target(request.head()) {
            Ok(target) => {
                let mut outcome = self.merge(request, target);
                if let Some(special) = &settings.special {
                    outcome = special.finish(request, target, outcome);
                }
                (outcome, Carrier::Header(target.name()))
            }
            Err(outcome) => (outcome, settings.withhold(request)),
        };
        settings.tell(outcome, carrier, request.head());
        outcome
    }

    /// Applies the first matching row of [`MergePolicy`]'s table.
    #[inline]
    fn merge(&self, request: &mut impl Stampable, target: Target<'_>) -> Outcome {
        let absent = match self.settings.policy(target) {
            MergePolicy::Keep => match Existing::find(request.head().headers(), target.name) {
                Existing::Absent => true,
                Existing::One => return Outcome::Kept,
                Existing::Other => {
                    if keep_first(request.headers_mut(), target.name()) {
                        return Outcome::Kept;
                    }
                    false
                }
            },
            // Any value is replaced, so there is no need to look.
            MergePolicy::Replace => false,
        };
        let Some(key) = self.extractor.extract(request.head()) else {
            let outcome = self.why_no_key(request.head());
            // Clearing a header that is absent changes nothing, and costs a hash.
            if !absent {
                clear(request.headers_mut(), target.name());
            }
            return outcome;
        };
        set(request.headers_mut(), target.name, key.into())
    }

    /// Returns the key for a body field, or why there is none.
    #[cfg(feature = "body-field")]
    pub(crate) fn key(
        &self,
        head: RequestHead<'_>,
        max_len: Option<usize>,
    ) -> Result<HeaderValue, Outcome> {
        let key = self.extractor.extract(head);
        let mut value = key.ok_or_else(|| self.why_no_key(head))?.into();
        let special = self.settings.special.as_ref();
        if let Some(derivation) = special.and_then(|special| special.derivation.as_ref()) {
            let derived = derivation.derive(head.uri(), &value);
            value = derived.ok_or(Outcome::NoAuthority)?;
        }
        match max_len {
            Some(max_len) if value.len() > max_len => Err(Outcome::TooLong),
            _ => Ok(value),
        }
    }

    #[inline]
    fn why_no_key(&self, head: RequestHead<'_>) -> Outcome {
        if self.extractor.has_invalid_key(head) {
            Outcome::InvalidKey
        } else {
            Outcome::NoKey
        }
    }
}

impl<B> Stampable for Request<B> {
    #[inline]
    fn head(&self) -> RequestHead<'_> {
        self.into()
    }

    #[inline]
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
}

impl Stampable for StampableParts<'_> {
    fn head(&self) -> RequestHead<'_> {
        RequestHead::new(self.method, self.uri, self.headers, self.extensions)
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers
    }
}

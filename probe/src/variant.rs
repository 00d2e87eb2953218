//! The variants of a run: one without a key, and one for each name that carries it.

use std::fmt;

use http::HeaderName;

/// The place of the key in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// A request header.
    Header(HeaderName),
    /// A top-level field of the JSON body.
    BodyField(String),
}

/// The index of a variant in [`Variants`]; 0 is the variant without a key.
pub(crate) type Variant = usize;

/// The variant without a key.
pub(crate) const WITHOUT_KEY: Variant = 0;

/// The carriers to try in addition to the variant without a key; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variants(Vec<Carrier>);

impl Variants {
    /// Removes duplicates.
    pub(crate) fn new(carriers: impl IntoIterator<Item = Carrier>) -> Self {
        let mut kept = Vec::new();
        for carrier in carriers {
            if !kept.contains(&carrier) {
                kept.push(carrier);
            }
        }
        Self(kept)
    }

    pub(crate) fn carriers(&self) -> &[Carrier] {
        &self.0
    }

    /// Returns the number of variants, including the one without a key.
    pub(crate) fn len(&self) -> usize {
        1 + self.0.len()
    }

    /// Returns every variant that has a key.
    pub(crate) fn keyed(&self) -> impl Iterator<Item = Variant> + use<> {
        1..self.len()
    }

    /// Returns the carrier of a variant's key, if it has one.
    pub(crate) fn carrier(&self, variant: Variant) -> Option<&Carrier> {
        self.0.get(variant.checked_sub(1)?)
    }

    /// Returns the heading of a variant's column.
    pub(crate) fn name(&self, variant: Variant) -> String {
        match self.carrier(variant) {
            None => "without key".to_owned(),
            Some(_) if self.0.len() == 1 => "with key".to_owned(),
            Some(carrier) => carrier.to_string(),
        }
    }

    /// Returns the name of a variant in JSON.
    pub(crate) fn id(&self, variant: Variant) -> String {
        match self.carrier(variant) {
            None => "without_key".to_owned(),
            Some(_) if self.0.len() == 1 => "with_key".to_owned(),
            Some(carrier) => carrier.to_string(),
        }
    }

    /// Returns the names of the carriers as a list in words.
    pub(crate) fn list(&self) -> String {
        listed(&self.0.iter().map(Carrier::to_string).collect::<Vec<_>>())
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => f.write_str(name.as_str()),
            Self::BodyField(name) => f.write_str(name),
        }
    }
}

/// Joins words with commas and "and".
pub(crate) fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(names: &[&'static str]) -> Variants {
        let header = |name: &&'static str| Carrier::Header(HeaderName::from_static(name));
        Variants::new(names.iter().map(header))
    }

    #[test]
    fn a_single_carrier_is_called_with_key_and_several_are_called_by_name() {
        let one = headers(&["x-session-id"]);
        assert_eq!([one.name(0), one.name(1)], ["without key", "with key"]);
        let two = headers(&["x-session-id", "x-session-affinity"]);
        assert_eq!(
            [two.name(1), two.id(2)],
            ["x-session-id", "x-session-affinity"]
        );
        assert_eq!(two.list(), "x-session-id and x-session-affinity");
    }

    #[test]
    fn a_carrier_given_twice_is_tried_once() {
        assert_eq!(headers(&["x-session-id", "x-session-id"]).len(), 2);
    }
}

//! The value that is sent instead of a raw one.

use std::sync::Arc;

use http::{HeaderValue, Uri};

use super::format::{Label, Message, hexadecimal};
use crate::AffinitySecret;
use crate::host::{bracketed, host_of};

/// Derives the value that is sent from the one that would be sent otherwise.
// One pointer, so that cloning or dropping a service without a derivation costs one comparison.
#[derive(Clone, Debug)]
pub(crate) struct Derivation(Arc<Recipe>);

#[derive(Debug)]
struct Recipe {
    secret: AffinitySecret,
    destination: Destination,
}

#[derive(Debug)]
enum Destination {
    Host,
    Label(Box<str>),
}

impl Derivation {
    pub(crate) fn per_host(secret: AffinitySecret) -> Self {
        let destination = Destination::Host;
        Self(Arc::new(Recipe {
            secret,
            destination,
        }))
    }

    pub(crate) fn for_label(secret: AffinitySecret, label: &str) -> Self {
        let destination = Destination::Label(label.into());
        Self(Arc::new(Recipe {
            secret,
            destination,
        }))
    }

    /// Returns the key for this value at its destination, or `None` if the URI has no host and needs one.
    pub(crate) fn derive(&self, uri: &Uri, raw: &HeaderValue) -> Option<HeaderValue> {
        let mut message = self.0.secret.message(Label::Destination);
        match &self.0.destination {
            Destination::Host => write_host(&mut message, host(uri)?),
            Destination::Label(label) => message.part(label.as_bytes()),
        }
        message.part(raw.as_bytes().trim_ascii());
        let mut value = message.finish();
        value.set_sensitive(raw.is_sensitive());
        Some(value)
    }
}

/// Returns the host as it is written, without one trailing dot.
fn host(uri: &Uri) -> Option<&str> {
    let host = host_of(uri.authority()?.as_str());
    Some(host.strip_suffix('.').unwrap_or(host)).filter(|host| !host.is_empty())
}

/// Writes the host in the one spelling that the format allows.
fn write_host(message: &mut Message, host: &str) {
    if let Some(address) = bracketed(host) {
        let text: [u8; 39] = hexadecimal(address.octets(), b':', [2, 4, 6, 8, 10, 12, 14]);
        return message.part(&text);
    }
    message.begin_part(host.len());
    // In pieces, because a lower-case copy of the whole host would allocate.
    for piece in host.as_bytes().chunks(64) {
        let mut lower_case = [0; 64];
        let lower_case = &mut lower_case[..piece.len()];
        lower_case.copy_from_slice(piece);
        lower_case.make_ascii_lowercase();
        message.push(lower_case);
    }
}

//! What leaves instead of a raw value.

use std::sync::Arc;

use http::{HeaderValue, Uri};

use crate::AffinitySecret;
use crate::host::bracketed;
use crate::secret::{Label, Message, hexadecimal};

/// Derives the value that leaves from the one that would have left.
// One pointer, so that a service without derivation is cloned and dropped for one comparison more.
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

    /// Whether it is known where a request to this URI goes.
    pub(crate) fn has_destination(&self, uri: &Uri) -> bool {
        match self.0.destination {
            Destination::Host => !host(uri).is_empty(),
            Destination::Label(_) => true,
        }
    }

    pub(crate) fn derive(&self, uri: &Uri, raw: &HeaderValue) -> HeaderValue {
        let mut message = self.0.secret.message(Label::Destination);
        match &self.0.destination {
            Destination::Host => write_host(&mut message, host(uri)),
            Destination::Label(label) => message.part(label.as_bytes()),
        }
        message.part(raw.as_bytes().trim_ascii());
        let mut value = message.finish();
        value.set_sensitive(raw.is_sensitive());
        value
    }
}

/// Returns the host as it is written, less one trailing dot; empty if there is none.
fn host(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    host.strip_suffix('.').unwrap_or(host)
}

/// Writes the one spelling that a host has in the format.
fn write_host(message: &mut Message, host: &str) {
    if let Some(address) = bracketed(host) {
        let text: [u8; 39] = hexadecimal(address.octets(), b':', [2, 4, 6, 8, 10, 12, 14]);
        return message.part(&text);
    }
    message.begin_part(host.len());
    // In pieces, since a lower-case copy of the whole would be an allocation.
    for piece in host.as_bytes().chunks(64) {
        let mut lower_case = [0; 64];
        let lower_case = &mut lower_case[..piece.len()];
        lower_case.copy_from_slice(piece);
        lower_case.make_ascii_lowercase();
        message.push(lower_case);
    }
}

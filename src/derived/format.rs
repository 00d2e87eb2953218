//! The format of derived keys: a message, its HMAC, and a UUID.
//!
//! [`AffinitySecret`](crate::AffinitySecret#format) documents it.

use bytes::Bytes;
use hmac::Hmac;
use hmac::digest::{FixedOutput, Update};
use http::HeaderValue;
use sha2::Sha256;
use zeroize::ZeroizeOnDrop;

/// What a derived key is for. All labels have the same length, so no label is a prefix of a different one.
#[derive(Clone, Copy)]
pub(crate) enum Label {
    Key,
    Destination,
}

/// The HMAC of a message that is being written.
pub(crate) struct Message(Hmac<Sha256>);

impl Message {
    #[inline]
    pub(crate) fn begin(keyed: &Hmac<Sha256>, label: Label) -> Self {
        let mut mac = keyed.clone();
        mac.update(match label {
            Label::Key => b"tsa-key-v1",
            Label::Destination => b"tsa-dst-v1",
        });
        Self(mac)
    }

    #[inline]
    pub(crate) fn part(&mut self, part: &[u8]) {
        self.begin_part(part.len());
        self.push(part);
    }

    /// Begins a part of `len` bytes, which are pushed next.
    #[inline]
    pub(crate) fn begin_part(&mut self, len: usize) {
        self.0.update(&(len as u64).to_be_bytes());
    }

    #[inline]
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Returns the key as a header value; its bytes are the one allocation.
    #[inline]
    pub(crate) fn finish(self) -> HeaderValue {
        let mac = self.0.finalize_fixed();
        let mut octets = [0; 16];
        octets.copy_from_slice(&mac[..16]);
        // The bits that are set are the ones masked off, so an exclusive `or` would do the same.
        octets[6] = 0x80 | octets[6] & 0x0f;
        octets[8] = 0x80 | octets[8] & 0x3f;
        let text: [u8; 36] = hexadecimal(octets, b'-', [4, 6, 8, 10]);
        // Unlike a copy of a slice, an owner has its reference count from the start: no clone allocates.
        HeaderValue::from_maybe_shared(Bytes::from_owner(text)).expect("a UUID is a header value")
    }
}

/// Spells bytes in lower case, with a separator before those at `breaks`.
#[inline]
pub(crate) fn hexadecimal<const LEN: usize, const BREAKS: usize>(
    octets: [u8; 16],
    separator: u8,
    breaks: [usize; BREAKS],
) -> [u8; LEN] {
    let mut text = [separator; LEN];
    let mut end = 0;
    for (index, octet) in octets.into_iter().enumerate() {
        end += usize::from(breaks.contains(&index));
        text[end..end + 2].copy_from_slice(&DIGITS[usize::from(octet)]);
        end += 2;
    }
    text
}

/// The two digits of each byte.
const DIGITS: [[u8; 2]; 256] = {
    const DIGIT: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [[0; 2]; 256];
    let mut octet = 0;
    while octet < digits.len() {
        digits[octet] = [DIGIT[octet >> 4], DIGIT[octet & 0x0f]];
        octet += 1;
    }
    digits
};

// `AffinitySecret` promises to wipe its state; without the features that do so, this does not compile.
const _: () = {
    const fn is_wiped<T: ZeroizeOnDrop>() {}
    is_wiped::<sha2::block_api::Sha256VarCore>();
    is_wiped::<hmac::digest::block_api::Buffer<hmac::block_api::HmacCore<Sha256>>>();
};

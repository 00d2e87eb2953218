//! A header map that refuses a name though it has room.

use std::hash::{Hash, Hasher};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The hash of a `HeaderMap` for as long as few names collide: FNV-1a.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Whether a name belongs into the first 64 places of a map that has its most, 32,768.
fn collides(name: &HeaderName) -> bool {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    name.hash(&mut hasher);
    hasher.finish() % 32_768 < 64
}

/// Appends so many colliding names, and returns how many the map took.
fn collide(headers: &mut HeaderMap, names: usize) -> usize {
    let numbered = (0_u32..).map(|i| HeaderName::try_from(format!("x-collides-{i}")).unwrap());
    let mut colliding = numbered.filter(collides).take(names);
    let refused =
        colliding.position(|name| headers.try_insert(name, HeaderValue::from(0)).is_err());
    refused.unwrap_or(names)
}

/// A map with these values under `name` that refuses the next insertion, and none after it.
pub(crate) fn refusing_map(name: &HeaderName, ours: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in ours {
        headers.append(name, HeaderValue::from_static(value));
    }
    // More than half of what a map takes, so that it cannot double.
    for i in 0..13_000 {
        let name = HeaderName::try_from(format!("x-{i}")).unwrap();
        headers.insert(name, HeaderValue::from(i));
    }
    let taken = collide(&mut headers.clone(), 1_000);
    assert!(taken < 1_000, "no name was refused");
    collide(&mut headers, taken);
    headers
}

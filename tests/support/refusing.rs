//! A header map that refuses a name although it has room.

use std::hash::{Hash, Hasher};

use http::{HeaderMap, HeaderName, HeaderValue};

/// FNV-1a, the hash of a `HeaderMap` while few names collide.
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

/// Whether a name hashes to the first 64 of the 32,768 slots of a map of maximum size.
fn collides(name: &HeaderName) -> bool {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    name.hash(&mut hasher);
    hasher.finish() % 32_768 < 64
}

/// Inserts up to `names` colliding names, and returns how many the map took.
fn collide(headers: &mut HeaderMap, names: usize) -> usize {
    let numbered = (0_u32..).map(|i| HeaderName::try_from(format!("x-collides-{i}")).unwrap());
    let mut colliding = numbered.filter(collides).take(names);
    let refused =
        colliding.position(|name| headers.try_insert(name, HeaderValue::from(0)).is_err());
    refused.unwrap_or(names)
}

/// Returns a map with these values under `name`, which refuses the next insertion but none after it.
pub(crate) fn refusing_map(name: &HeaderName, ours: &[&'static str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in ours {
        headers.append(name, HeaderValue::from_static(value));
    }
    // More than half of the maximum, so that the map cannot double.
    for i in 0..13_000 {
        let name = HeaderName::try_from(format!("x-{i}")).unwrap();
        headers.insert(name, HeaderValue::from(i));
    }
    let taken = collide(&mut headers.clone(), 1_000);
    assert!(taken < 1_000, "expected the map to refuse a name");
    collide(&mut headers, taken);
    headers
}

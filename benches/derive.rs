//! What a derived key costs in nanoseconds and allocations, compared with the HMAC of the same message.
//!
//! `cargo bench --features hmac --bench derive`

use divan::{AllocProfiler, Bencher, black_box};
use hmac::{Hmac, KeyInit, Mac};
use http::{Extensions, HeaderMap, Method, Uri};
use sha2::Sha256;
use tower_session_affinity::{
    AffinityKey, AffinitySecret, FromExtension, Or, SessionAffinityLayer,
};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const SECRET: &[u8] = &[7; 32];
const PART: &str = "1f8e6a52-7c7b-4c39-9d54-0a1b2c3d4e5f";
const HOST: &str = "api.fireworks.ai";
const URI: &str = "https://api.fireworks.ai/inference/v1/chat/completions";

fn main() {
    divan::main();
}

/// The crate `hmac` alone, with a precomputed key, from the message to the MAC.
mod hmac_crate {
    use super::{Bencher, HOST, Hmac, KeyInit, Mac, PART, SECRET, Sha256, black_box};

    #[divan::bench(args = [1, 2])]
    fn parts_of_36_bytes(bencher: Bencher<'_, '_>, parts: usize) {
        mac(
            bencher,
            &[pieces("tsa-key-v1", &vec![PART; parts]).concat()],
        );
    }

    /// The same, from the pieces of the message.
    #[divan::bench(args = [1, 2])]
    fn parts_of_36_bytes_in_pieces(bencher: Bencher<'_, '_>, parts: usize) {
        mac(bencher, &pieces("tsa-key-v1", &vec![PART; parts]));
    }

    #[divan::bench]
    fn host_and_36_bytes(bencher: Bencher<'_, '_>) {
        mac(bencher, &[pieces("tsa-dst-v1", &[HOST, PART]).concat()]);
    }

    fn mac(bencher: Bencher<'_, '_>, pieces: &[Vec<u8>]) {
        let keyed = Hmac::<Sha256>::new_from_slice(SECRET).expect("a key");
        bencher.bench(|| {
            let mut mac = black_box(&keyed).clone();
            for piece in black_box(pieces) {
                mac.update(piece);
            }
            mac.finalize().into_bytes()
        });
    }

    fn pieces(label: &str, parts: &[&str]) -> Vec<Vec<u8>> {
        let framed = |part: &&str| {
            [
                (part.len() as u64).to_be_bytes().to_vec(),
                part.as_bytes().to_vec(),
            ]
        };
        let mut pieces = vec![label.as_bytes().to_vec()];
        pieces.extend(parts.iter().flat_map(framed));
        pieces
    }
}

/// This crate: from the parts to the key.
mod derived {
    use super::{
        AffinityKey, AffinitySecret, Bencher, Extensions, FromExtension, HeaderMap, Method, Or,
        PART, SECRET, SessionAffinityLayer, URI, Uri, black_box,
    };

    #[divan::bench(args = [1, 2])]
    fn parts_of_36_bytes(bencher: Bencher<'_, '_>, parts: usize) {
        let secret = AffinitySecret::new(SECRET).expect("a secret");
        let parts = vec![PART; parts];
        bencher.bench(|| black_box(&secret).key_for(black_box(&parts)));
    }

    /// A whole call, with room in the map.
    #[divan::bench]
    fn host_and_36_bytes(bencher: Bencher<'_, '_>) {
        let secret = AffinitySecret::new(SECRET).expect("a secret");
        stamp(bencher, &layer().derive_per_host(secret));
    }

    /// The same call without derivation.
    #[divan::bench]
    fn stamp_alone(bencher: Bencher<'_, '_>) {
        stamp(bencher, &layer());
    }

    type Layer = SessionAffinityLayer<Or<FromExtension, AffinityKey>>;

    fn layer() -> Layer {
        SessionAffinityLayer::new().or(AffinityKey::from_static(PART))
    }

    fn stamp(bencher: Bencher<'_, '_>, layer: &Layer) {
        let uri = Uri::from_static(URI);
        let extensions = Extensions::new();
        let map = || HeaderMap::with_capacity(8);
        bencher.with_inputs(map).bench_refs(|headers| {
            layer.stamp(&Method::POST, black_box(&uri), headers, &extensions)
        });
    }
}

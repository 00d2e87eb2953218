//! What a derived key costs in instructions, beside the HMAC of the same message.
//!
//! `cargo bench --features hmac --bench derive_instructions` counts with callgrind, prints the ratios
//! and fails when one is over its bound. It needs valgrind and the `gungraun-runner` of the version
//! that `Cargo.toml` pins.
//!
//! Valgrind has no SHA instructions, so this counts the portable SHA-256, which is most of either
//! side; `benches/derive.rs` has the time with the instructions that the processor has.

use std::error::Error;
use std::process::ExitCode;

#[path = "shared/counts.rs"]
mod counts;

use counts::Counts;

/// How many times its HMAC alone a derived key may cost.
const BOUND: f64 = 1.3;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    Counts::judge(contestants::run, contestants::REPEATS, print)
}

/// Prints the ratios and returns whether all are within the bound.
fn print(counts: &Counts) -> bool {
    let mut within = true;
    println!("| parts of 36 bytes | key_for | hmac | ratio | bound |");
    println!("|---|---|---|---|---|");
    for id in ["one", "two"] {
        let (ours, theirs) = (counts.of("key_for", id), counts.of("hmac_alone", id));
        let ratio = ours / theirs;
        within &= ratio <= BOUND;
        println!("| {id} | {ours:.0} | {theirs:.0} | {ratio:.3} | {BOUND} |");
    }
    within
}

mod contestants {
    use std::hint::black_box;
    use std::mem::forget;

    use gungraun::{
        Callgrind, EntryPoint, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group,
    };
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;
    use tower_session_affinity::AffinitySecret;

    /// The derivations that one count is the sum of.
    pub(crate) const REPEATS: usize = 100;

    const SECRET: &[u8] = &[7; 32];
    const PART: &str = "1f8e6a52-7c7b-4c39-9d54-0a1b2c3d4e5f";

    fn message(parts: usize) -> Vec<u8> {
        let mut message = b"tsa-key-v1".to_vec();
        for _ in 0..parts {
            message.extend((PART.len() as u64).to_be_bytes());
            message.extend(PART.as_bytes());
        }
        message
    }

    #[library_benchmark]
    #[bench::one(&[PART])]
    #[bench::two(&[PART, PART])]
    fn key_for(parts: &[&str]) {
        counted_keys(&AffinitySecret::new(SECRET).expect("a secret"), parts);
    }

    // With a precomputed key and the message in one piece.
    #[library_benchmark]
    #[bench::one(message(1))]
    #[bench::two(message(2))]
    fn hmac_alone(message: Vec<u8>) {
        let keyed = Hmac::new_from_slice(SECRET).expect("a key");
        counted_macs(&keyed, &message);
    }

    /// Keys are forgotten, so that freeing them is not counted.
    #[inline(never)]
    fn counted_keys(secret: &AffinitySecret, parts: &[&str]) {
        for _ in 0..REPEATS {
            forget(black_box(black_box(secret).key_for(black_box(parts))));
        }
    }

    #[inline(never)]
    fn counted_macs(keyed: &Hmac<Sha256>, message: &[u8]) {
        for _ in 0..REPEATS {
            let mut mac = black_box(keyed).clone();
            mac.update(black_box(message));
            black_box(mac.finalize().into_bytes());
        }
    }

    library_benchmark_group!(name = derivations, benchmarks = [key_for, hmac_alone]);

    gungraun::main!(
        config = LibraryBenchmarkConfig::default().tool(
            Callgrind::default().entry_point(EntryPoint::Custom("*::counted_*".to_owned()))
        );
        library_benchmark_groups = derivations
    );

    /// Hands over to gungraun, which runs this program again under callgrind.
    pub(crate) fn run() {
        main();
    }
}

//! What a derived key costs in instructions, beside the HMAC of the same message.
//!
//! `cargo bench --features hmac --bench derive_instructions` counts with callgrind, prints the ratios
//! and fails when one is over its bound. It needs valgrind and the `gungraun-runner` of the version
//! that `Cargo.toml` pins.
//!
//! Valgrind has no SHA instructions, so this counts the portable SHA-256, which is most of either
//! side; `benches/derive.rs` has the time with the instructions that the processor has.

use std::env;
use std::error::Error;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

/// How many times its HMAC alone a derived key may cost.
const BOUND: f64 = 1.3;

/// Set where this program counts; unset where it starts itself to read what was counted.
const OUTPUT_FORMAT: &str = "GUNGRAUN_OUTPUT_FORMAT";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let first = env::args().nth(1);
    // Callgrind runs this program as well, once for each contestant.
    if first.as_deref() == Some("--gungraun-run") || env::var_os(OUTPUT_FORMAT).is_some() {
        contestants::run();
        return Ok(ExitCode::SUCCESS);
    }
    // `cargo test --benches` asks only whether it builds.
    if first.as_deref() != Some("--bench") {
        return Ok(ExitCode::SUCCESS);
    }
    let counting = Command::new(env::current_exe()?)
        .arg("--bench")
        .env(OUTPUT_FORMAT, "json")
        .stderr(Stdio::inherit())
        .output()?;
    if !counting.status.success() {
        return Err("could not count: are valgrind and gungraun-runner installed?".into());
    }
    let counts = read(&String::from_utf8(counting.stdout)?)?;
    Ok(if print(&counts)? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The instructions of one call of a contestant.
struct Count {
    contestant: String,
    id: String,
    instructions: f64,
}

/// Reads gungraun's JSON, a summary on each line.
fn read(lines: &str) -> Result<Vec<Count>, Box<dyn Error>> {
    let summaries = lines.lines().filter(|line| line.starts_with('{'));
    let count = |line| {
        let summary: Value = serde_json::from_str(line)?;
        let text = |field: &str| summary[field].as_str().unwrap_or_default().to_owned();
        let total = &summary["profiles"][0]["data"]["total"]["metrics"]["Ir"]["values"]["new"];
        let total = total.as_f64().ok_or("a summary without instructions")?;
        Ok(Count {
            contestant: text("function_name"),
            id: text("id"),
            instructions: total / f64::from(contestants::REPEATS),
        })
    };
    summaries.map(count).collect()
}

/// Prints the ratios and returns whether all are within the bound.
fn print(counts: &[Count]) -> Result<bool, Box<dyn Error>> {
    let count_of = |contestant: &str, id: &str| {
        let mut all = counts.iter();
        let found = all.find(|count| count.contestant == contestant && count.id == id);
        found
            .map(|count| count.instructions)
            .ok_or("a contestant was not counted")
    };
    let mut within = true;
    println!("| parts of 36 bytes | key_for | hmac | ratio | bound |");
    println!("|---|---|---|---|---|");
    for id in ["one", "two"] {
        let (ours, theirs) = (count_of("key_for", id)?, count_of("hmac_alone", id)?);
        let ratio = ours / theirs;
        within &= ratio <= BOUND;
        println!("| {id} | {ours:.0} | {theirs:.0} | {ratio:.3} | {BOUND} |");
    }
    Ok(within)
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
    pub(crate) const REPEATS: u32 = 100;

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

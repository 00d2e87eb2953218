//! What a request and its answer cost in instructions, beside the layer that only sets a header.
//!
//! `cargo bench -p tower-affinity-token --bench instructions` counts with callgrind and prints a
//! table. It needs valgrind and the `gungraun-runner` of the version that `Cargo.toml` pins.
//!
//! The cost of the bare service, which makes the answer and frees the request, is taken off. The memory
//! tidies up once in so many reads, and that is in the mean.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::process::{Command, Stdio};

use serde_json::Value;

#[path = "instructions/contestants.rs"]
mod contestants;
mod support;

/// Set where this program counts; unset where it starts itself to read what was counted.
const OUTPUT_FORMAT: &str = "GUNGRAUN_OUTPUT_FORMAT";

/// A row: what it is, the contestant, and the bare service whose cost is taken off.
const ROWS: [(&str, &str, &str); 6] = [
    (
        "`SessionAffinityLayer`, key in the extensions",
        "plain",
        "bare",
    ),
    ("`AffinityTokenLayer`, no key", "no_key", "bare_without_key"),
    (
        "`AffinityTokenLayer`, nothing remembered",
        "nothing_remembered",
        "bare",
    ),
    (
        "`AffinityTokenLayer`, token remembered",
        "remembered",
        "bare",
    ),
    (
        "`AffinityTokenLayer`, token remembered, the answer repeats it",
        "repeated",
        "bare_with_token",
    ),
    (
        "`AffinityTokenLayer`, token remembered, the answer brings another",
        "changed",
        "bare_with_token",
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let first = env::args().nth(1);
    // Callgrind runs this program as well, once for each contestant.
    if first.as_deref() == Some("--gungraun-run") || env::var_os(OUTPUT_FORMAT).is_some() {
        contestants::run();
        return Ok(());
    }
    // `cargo test --benches` asks only whether it builds.
    if first.as_deref() != Some("--bench") {
        return Ok(());
    }
    let counting = Command::new(env::current_exe()?)
        .arg("--bench")
        .env(OUTPUT_FORMAT, "json")
        .stderr(Stdio::inherit())
        .output()?;
    if !counting.status.success() {
        return Err("could not count: are valgrind and gungraun-runner installed?".into());
    }
    print(&counts(&String::from_utf8(counting.stdout)?)?);
    Ok(())
}

/// Reads gungraun's JSON, a summary on each line, as instructions of one exchange by contestant.
fn counts(lines: &str) -> Result<BTreeMap<String, f64>, Box<dyn Error>> {
    let mut counts = BTreeMap::new();
    for line in lines.lines().filter(|line| line.starts_with('{')) {
        let summary: Value = serde_json::from_str(line)?;
        let name = summary["function_name"]
            .as_str()
            .ok_or("a summary without a name")?;
        let total = &summary["profiles"][0]["data"]["total"]["metrics"]["Ir"]["values"]["new"];
        let total = total.as_f64().ok_or("a summary without instructions")?;
        let repeats = f64::from(u32::try_from(contestants::REPEATS)?);
        counts.insert(name.to_owned(), total / repeats);
    }
    Ok(counts)
}

fn print(counts: &BTreeMap<String, f64>) {
    println!("| instructions a request, with its answer | |");
    println!("|---|---|");
    for (what, contestant, bare) in ROWS {
        println!("| {what} | {:.0} |", counts[contestant] - counts[bare]);
    }
}

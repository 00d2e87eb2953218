//! What a request and its answer cost in instructions, beside the layer that only sets a header.
//!
//! `cargo bench -p tower-affinity-token --bench instructions` counts with callgrind and prints a
//! table. It needs valgrind and the `gungraun-runner` of the version that `Cargo.toml` pins.
//!
//! The cost of the bare service, which makes the answer and frees the request, is taken off. The memory
//! tidies up once in so many reads, and that is in the mean.

use std::error::Error;

#[path = "instructions/contestants.rs"]
mod contestants;
#[path = "../../benches/shared/counts.rs"]
mod counts;
mod support;

use counts::Counts;

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
    if let Some(counts) = Counts::take(contestants::run, contestants::REPEATS)? {
        print(&counts);
    }
    Ok(())
}

fn print(counts: &Counts) {
    println!("| instructions a request, with its answer | |");
    println!("|---|---|");
    for (what, contestant, bare) in ROWS {
        println!(
            "| {what} | {:.0} |",
            counts.of(contestant, "") - counts.of(bare, "")
        );
    }
}

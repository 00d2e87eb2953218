//! What a request and its response cost in instructions, compared with the layer that only sets a header.
//!
//! `cargo bench -p tower-affinity-token --bench instructions` counts with callgrind, prints a table, and fails
//! if a row exceeds its bound. It needs valgrind and the version of `gungraun-runner` that `Cargo.toml` pins.
//!
//! The cost of the bare service, which makes the response and frees the request, is subtracted.

use std::error::Error;
use std::process::ExitCode;

#[path = "instructions/contestants.rs"]
mod contestants;
#[path = "../../benches/shared/counts.rs"]
mod counts;
mod support;

use counts::Counts;

/// A row of the table.
struct Row {
    what: &'static str,
    contestant: &'static str,
    /// The bare service whose cost is subtracted.
    bare: &'static str,
    /// The most instructions that a request may cost.
    bound: Option<f64>,
}

const ROWS: [Row; 7] = [
    Row {
        what: "`SessionAffinityLayer`, key in the extensions",
        contestant: "plain",
        bare: "bare",
        bound: None,
    },
    Row {
        what: "`AffinityTokenLayer`, no key",
        contestant: "no_key",
        bare: "bare_without_key",
        bound: None,
    },
    Row {
        what: "`AffinityTokenLayer`, no token remembered",
        contestant: "nothing_remembered",
        bare: "bare",
        bound: Some(2_000.0),
    },
    Row {
        what: "`AffinityTokenLayer`, token remembered",
        contestant: "remembered",
        bare: "bare",
        bound: Some(2_400.0),
    },
    Row {
        what: "`AffinityTokenLayer`, token remembered and repeated in the response",
        contestant: "repeated",
        bare: "bare_with_token",
        bound: Some(3_800.0),
    },
    Row {
        what: "`AffinityTokenLayer`, token remembered, a new one in the response",
        contestant: "changed",
        bare: "bare_with_token",
        bound: Some(4_000.0),
    },
    Row {
        what: "`AffinityTokenLayer`, token remembered, after a failure of another session",
        contestant: "remembered_after_a_failure",
        bare: "bare",
        bound: None,
    },
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    Counts::judge(contestants::run, contestants::REPEATS, print)
}

/// Prints the table and returns whether every bound holds.
fn print(counts: &Counts) -> bool {
    println!("| instructions per request, response included | | bound |");
    println!("|---|---|---|");
    let mut holds = true;
    for row in &ROWS {
        let count = counts.of(row.contestant, "") - counts.of(row.bare, "");
        let bound = row
            .bound
            .map_or_else(String::new, |bound| bound.to_string());
        println!("| {} | {count:.0} | {bound} |", row.what);
        if row.bound.is_some_and(|bound| count > bound) {
            eprintln!("{}: {count:.0} exceeds the bound of {bound}", row.what);
            holds = false;
        }
    }
    holds
}

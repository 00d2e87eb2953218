//! What a request and its answer cost in instructions, beside the layer that only sets a header.
//!
//! `cargo bench -p tower-affinity-token --bench instructions` counts with callgrind, prints a table and
//! fails when a row is over its bound. It needs valgrind and the `gungraun-runner` of the version that
//! `Cargo.toml` pins.
//!
//! The cost of the bare service, which makes the answer and frees the request, is taken off.

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
    /// The bare service whose cost is taken off.
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
        what: "`AffinityTokenLayer`, nothing remembered",
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
        what: "`AffinityTokenLayer`, token remembered, the answer repeats it",
        contestant: "repeated",
        bare: "bare_with_token",
        bound: Some(3_800.0),
    },
    Row {
        what: "`AffinityTokenLayer`, token remembered, the answer brings another",
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
    let holds = match Counts::take(contestants::run, contestants::REPEATS)? {
        Some(counts) => print(&counts),
        None => true,
    };
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints the table, and says whether every bound holds.
fn print(counts: &Counts) -> bool {
    println!("| instructions a request, with its answer | | bound |");
    println!("|---|---|---|");
    let mut holds = true;
    for row in &ROWS {
        let count = counts.of(row.contestant, "") - counts.of(row.bare, "");
        let bound = row
            .bound
            .map_or_else(String::new, |bound| bound.to_string());
        println!("| {} | {count:.0} | {bound} |", row.what);
        if row.bound.is_some_and(|bound| count > bound) {
            eprintln!("over its bound of {bound}: {}", row.what);
            holds = false;
        }
    }
    holds
}

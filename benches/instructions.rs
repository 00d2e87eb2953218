//! What a stamp costs in instructions, beside what one would write or take instead.
//!
//! `cargo bench --bench instructions` counts with callgrind, prints tables with the ratios and fails
//! when one is over its bound. It needs valgrind and the `gungraun-runner` of the version that
//! `Cargo.toml` pins. With `--profile bench-lto` it counts under fat LTO and one codegen unit.
//!
//! All contestants are in this one binary. The innermost service forgets the request, so that freeing
//! it is not counted, and the cost of that bare service is taken off every other. With 5 or 13 headers
//! a request's map has room for one more; with 6 it has not, so there everybody pays for its growth.

use std::env;
use std::error::Error;
use std::process::{Command, ExitCode, Stdio};

#[path = "shared/by_hand.rs"]
mod by_hand;
#[path = "instructions/contestants.rs"]
mod contestants;
mod shared;
#[path = "instructions/table.rs"]
mod table;

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
    let counts = table::Counts::read(&String::from_utf8(counting.stdout)?)?;
    Ok(if table::print(&counts) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

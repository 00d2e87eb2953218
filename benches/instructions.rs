//! What the layer costs in instructions, compared with tower-http and with code written by hand.
//!
//! `cargo bench --bench instructions` counts with callgrind, prints tables with the ratios and fails
//! if one exceeds its bound. It needs valgrind and the `gungraun-runner` of the version that
//! `Cargo.toml` pins. With `--profile bench-lto` it counts under fat LTO and one codegen unit.
//!
//! All contestants are in this one binary. The innermost service forgets the request, so that freeing
//! it is not counted. The cost of that bare service is subtracted from every other. With 5 or 13 headers
//! a request's map has room for one more. With 6 it does not, so every contestant pays for its growth.

use std::error::Error;
use std::process::ExitCode;

#[path = "shared/by_hand.rs"]
mod by_hand;
#[path = "instructions/contestants.rs"]
mod contestants;
#[path = "shared/counts.rs"]
mod counts;
#[path = "instructions/sets.rs"]
mod sets;
mod shared;
#[path = "instructions/table.rs"]
mod table;

use counts::Counts;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    Counts::judge(contestants::run, contestants::REPEATS, table::print)
}

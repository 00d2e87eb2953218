//! What the field costs for each byte of a body, beside parsing and serialising it and beside the bare body.
//!
//! `cargo bench --features body-field --bench body_field` counts instructions and allocations with
//! valgrind, measures times, prints one table, and fails where a count is over its bound. It needs
//! valgrind and the `gungraun-runner` of the version that `Cargo.toml` pins.
//!
//! A body is drained by the innermost service, as a client does that has a socket for it. Counts are
//! those of a whole request. The contestants take turns on one thread, so that whatever else the machine
//! does hits all of them, and a ratio is the median of those within a round.

use std::error::Error;
use std::process::ExitCode;

#[path = "shared/clock.rs"]
mod clock;
#[path = "body_field/contestants.rs"]
mod contestants;
#[path = "body_field/counted.rs"]
mod counted;
#[path = "shared/counts.rs"]
mod counts;
#[path = "body_field/prompt.rs"]
mod prompt;
#[path = "body_field/table.rs"]
mod table;
#[path = "body_field/times.rs"]
mod times;

use counts::Counts;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    Counts::judge(counted::run, 1, table::print)
}

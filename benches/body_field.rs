//! What the field costs for each byte of a body, compared with the bare body and with parsing and serializing it.
//!
//! `cargo bench --features body-field --bench body_field` counts instructions and allocations with
//! valgrind, measures times, prints one table, and fails if a count exceeds its bound. It needs
//! valgrind and the `gungraun-runner` of the version that `Cargo.toml` pins.
//!
//! The innermost service drains the body, as a client would into its socket. Counts are those of a whole
//! request. The contestants take turns on one thread, so that other load on the machine affects all of them
//! alike. A ratio is the median of the ratios within a round.

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

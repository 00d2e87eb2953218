//! The program, run as a user runs it.

mod endpoint;
mod failures;
mod simulation;
mod support;
mod usage;

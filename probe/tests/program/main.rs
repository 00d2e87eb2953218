//! The program, run as a user runs it.

mod bounds;
mod endpoint;
mod failures;
mod options;
mod secrets;
mod shapes;
mod simulation;
mod support;
mod usage;

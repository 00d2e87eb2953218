//! The program, run as a user runs it.

mod apis;
mod bounds;
mod ci;
mod encodings;
mod endpoint;
mod failures;
mod names;
mod options;
mod secrets;
mod shapes;
mod simulation;
mod streams;
mod support;
mod tls;
mod usage;

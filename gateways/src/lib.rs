//! Starts real gateways on loopback and drives them through the layer.
//!
//! [`Cluster`] starts a gateway in front of four replicas. [`suite`] has the checks that every gateway must
//! pass. Each program ends with the test that started it.

mod capture;
mod client;
mod cluster;
pub mod engine;
pub mod launch;
pub mod measure;
mod process;
mod replica;
pub mod suite;

pub use capture::LineCounts;
pub use client::{Bare, bare_client};
pub use cluster::{Cluster, Spec};
pub use process::{Process, Setup, find_program, free_address};
pub use replica::{Hold, REPLICA, Replica, X_GATEWAY};

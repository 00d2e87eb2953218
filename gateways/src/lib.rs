//! Real gateways on loopback, driven through the layer, which end with the test that started them.
//!
//! [`Cluster`] starts a gateway before four replicas, and [`suite`] holds what is asked of each one.

mod capture;
mod cluster;
pub mod engine;
pub mod launch;
mod process;
mod replica;
pub mod suite;

pub use capture::LineCounts;
pub use cluster::{Bare, Cluster, Spec};
pub use process::{Process, Setup, find_program, free_address, model};
pub use replica::{REPLICA, Replica};

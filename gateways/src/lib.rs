//! Real gateways on loopback, driven through the layer, which end with the test that started them.
//!
//! [`Cluster`] starts a gateway before four replicas, and [`suite`] holds what is asked of each one.

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

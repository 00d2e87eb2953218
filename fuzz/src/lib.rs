//! What the crate should do, written a second time and in the plainest way: the oracles of the targets.
//!
//! Nothing here calls the code that it judges.

pub mod body;
pub mod host;
pub mod key;
pub mod layer;
pub mod request;
pub mod table;

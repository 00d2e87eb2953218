//! The oracles of the fuzz targets: what the crate should do, implemented again as simply as possible.
//!
//! An oracle never calls the code that it checks.

pub mod body;
pub mod host;
pub mod key;
pub mod layer;
pub mod request;
pub mod table;

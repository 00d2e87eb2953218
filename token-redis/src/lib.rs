#![doc = include_str!("../README.md")]

mod changes;
mod shared;
mod store;
mod sync;
mod value;

pub use redis;
pub use store::{Builder, RedisTokenStore};

//! A store for `tower-affinity-token` that several processes share through Redis.
//!
//! [`RedisTokenStore`] is a [`TokenStore`](tower_affinity_token::TokenStore). Every process has all tokens in
//! its own memory, and changes travel by publish/subscribe. No request waits for Redis, and none fails
//! without it. The README says when to use it and what is guaranteed.

mod changes;
mod shared;
mod store;
mod sync;
mod value;

pub use redis;
pub use store::{Builder, RedisTokenStore};

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

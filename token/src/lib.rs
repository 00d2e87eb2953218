#![cfg_attr(docsrs, feature(doc_cfg))]
//! Remembers the token that a gateway issues to a session, and sends it back.

mod exchange;
mod future;
pub mod header;
mod layer;
mod memory;
mod merge;
mod service;
mod session;
mod store;
mod token;

pub use future::ResponseFuture;
pub use layer::AffinityTokenLayer;
pub use memory::MemoryStore;
pub use service::AffinityToken;
pub use session::Session;
pub use store::TokenStore;
pub use token::{InvalidToken, Token};

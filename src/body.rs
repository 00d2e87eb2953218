//! Sends the session's key in a field of a JSON body (feature `body-field`).

mod admission;
mod decision;
mod edit;
mod field_body;
mod layer;
mod member;
mod report;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
mod scanner;
mod service;

pub use field_body::FieldBody;
pub use layer::PromptCacheKeyLayer;
pub use service::PromptCacheKey;

#![cfg_attr(docsrs, feature(doc_cfg))]
//! One session-affinity header on every request of a conversation.

mod extract;
mod head;
pub mod header;
mod host;
mod key;
mod layer;
mod merge;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
#[cfg(feature = "scope")]
mod scope;
mod service;
mod stamp;

pub use extract::{FromExtension, FromFn, FromHeaders, KeyExtractor, NoAffinity, Or, from_fn};
pub use head::RequestHead;
pub use host::{HostPattern, InvalidHostPattern};
pub use key::{AffinityKey, InvalidAffinityKey};
pub use layer::SessionAffinityLayer;
pub use merge::MergePolicy;
#[cfg(feature = "scope")]
pub use scope::{
    AffinityScope, AffinityScopeLayer, FromScope, Scoped, ScopedBody, ScopedResponseFuture,
};
pub use service::SessionAffinity;
pub use stamp::Outcome;

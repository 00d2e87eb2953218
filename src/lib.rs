#![cfg_attr(docsrs, feature(doc_cfg))]
//! One session-affinity header on every request of a conversation.

#[cfg(feature = "hmac")]
mod derivation;
#[cfg(not(feature = "hmac"))]
#[path = "no_derivation.rs"]
mod derivation;
mod extract;
mod head;
pub mod header;
mod host;
mod key;
mod layer;
mod merge;
#[cfg(feature = "hmac")]
mod message;
#[cfg(feature = "hmac")]
mod secret;
mod service;
mod stamp;

pub use extract::{FromExtension, FromFn, FromHeaders, KeyExtractor, NoAffinity, Or, from_fn};
pub use head::RequestHead;
pub use host::{HostPattern, InvalidHostPattern};
pub use key::{AffinityKey, InvalidAffinityKey};
pub use layer::SessionAffinityLayer;
pub use merge::MergePolicy;
#[cfg(feature = "hmac")]
pub use secret::{AffinitySecret, InvalidAffinitySecret};
pub use service::SessionAffinity;
pub use stamp::Outcome;

#![cfg_attr(docsrs, feature(doc_cfg))]
//! The token that a gateway issues to a session, remembered and sent back.
//!
//! There are two ways to keep a conversation on the replica that has its prompt cached. Some balancers
//! hash a key that the client chooses, which is what [`tower_session_affinity`] sends. Others answer
//! with a token that names the replica and expect it with the next request: Envoy's stateful sessions,
//! llm-d, AIBrix, NVCF, SageMaker, YARP. [`AffinityTokenLayer`] is the client's part of that in any
//! tower stack: it remembers the latest token of each session, sends it to the origin that issued it and
//! to no other, and forgets it when it is dead.
//!
//! # Quick start
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_affinity_token::{AffinityTokenLayer, header};
//! use tower_session_affinity::AffinityKey;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Any `Service<http::Request<_>>` that answers with an `http::Response<_>`: hyper, tonic, kube, …
//!     // This one issues a token, and returns the one that it received.
//!     let gateway = service_fn(async |request: Request<()>| {
//!         let received = request.headers().get("x-session-token").cloned();
//!         Response::builder().header("x-session-token", "replica-3").body(received)
//!     });
//!     let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN);
//!     let mut client = ServiceBuilder::new().layer(layer).service(gateway);
//!
//!     let key: AffinityKey = "chat-7".parse()?;
//!     let turn = || Request::post("https://api.example/v1/chat").extension(key.clone()).body(());
//!     assert_eq!(client.ready().await?.call(turn()?).await?.into_body(), None);
//!     assert_eq!(client.ready().await?.call(turn()?).await?.into_body().unwrap(), "replica-3");
//!     Ok(())
//! }
//! ```
//!
//! # Where things are
//!
//! | question | answer |
//! |---|---|
//! | Which family is my gateway in? | the table of the [README](https://crates.io/crates/tower-affinity-token) |
//! | What is sent, remembered and forgotten? | [`AffinityTokenLayer`] |
//! | What is a valid token? | [`Token`] |
//! | What is it remembered for? | [`Session`] |
//! | How many, and for how long? | [`MemoryStore`] |
//! | Can clients or processes share a memory? | [`TokenStore`] |
//! | Which name does my gateway use? | [`header`] |
//! | Was a token ever issued, and why is it gone? | [`Outcome`], [`AffinityTokenLayer::on_outcome`] |
//! | My gateway wants to be asked for a session | [`AffinityTokenLayer::opening`] |
//! | My gateway says for how long a token is valid | [`AffinityTokenLayer::lifetime`], [`attributes`] |
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `memory` | yes | [`MemoryStore`] and [`attributes::lifetime`], which ask the process for the time |
//! | `tracing` | no | one event for each [`Outcome`], never a key or a token |
//!
//! Without `memory` the crate builds for `wasm32-unknown-unknown`, where asking for the time panics: bring
//! a [`TokenStore`] of your own ([`AffinityTokenLayer::with_store`]).
//!
//! # Where it goes in a stack
//!
//! Inside of a retry, so that each attempt asks anew and the second one starts without the dead token.
//! Inside of whatever changes the host. Inside of a response cache: an answer from a cache brings the
//! token of the session that filled it. Outside or inside of a `SessionAffinityLayer`, where the first hop
//! hashes a key and the second issues a token.

pub mod attributes;
mod exchange;
mod future;
pub mod header;
mod health;
mod layer;
#[cfg(feature = "memory")]
mod memory;
mod outcome;
mod report;
mod rules;
mod service;
mod session;
mod settings;
mod store;
mod token;

pub use future::ResponseFuture;
pub use layer::AffinityTokenLayer;
#[cfg(feature = "memory")]
pub use memory::MemoryStore;
pub use outcome::{Ending, Outcome};
pub use service::AffinityToken;
pub use session::{InvalidSession, Session};
pub use store::TokenStore;
pub use token::{InvalidToken, Token};

/// The examples of the README, compiled and run.
#[cfg(all(doctest, feature = "memory"))]
#[doc = include_str!("../README.md")]
struct Readme;

#![cfg_attr(docsrs, feature(doc_cfg))]
//! A tower layer that remembers the session token of a gateway and sends it back, so that an LLM conversation
//! stays on its replica.
//!
//! Some load balancers hash a key that the client chooses; [`tower_session_affinity`] sends that key. Others
//! issue a token that names the replica, and expect it with the next request: Envoy's stateful sessions,
//! llm-d, AIBrix, NVCF, SageMaker, YARP. [`AffinityTokenLayer`] remembers the latest token of each session,
//! sends it only to the origin that issued it, and forgets it when it is dead.
//!
//! # Start
//!
//! Two lines: the layer around any `Service<http::Request<_>>` that responds with an `http::Response<_>`, and
//! a key in the extensions of a request. The key looks up the token and is never sent.
//!
//! ```
//! use http::{Request, Response};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use tower_affinity_token::{AffinityTokenLayer, header};
//! use tower_session_affinity::AffinityKey;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Your client: hyper, tonic, kube, … This one stands for a gateway as well:
//! // it issues a token, and returns the one that it received.
//! let client = service_fn(async |request: Request<()>| {
//!     let received = request.headers().get("x-session-token").cloned();
//!     Response::builder().header("x-session-token", "replica-3").body(received)
//! });
//! let layer = AffinityTokenLayer::new(header::X_SESSION_TOKEN);
//! let mut client = ServiceBuilder::new().layer(layer).service(client);
//!
//! let key: AffinityKey = "chat-7".parse()?;
//! let uri = "https://llm.example/v1/chat";
//! let turn = || Request::post(uri).extension(key.clone()).body(());
//! let first = client.ready().await?.call(turn()?).await?;
//! assert_eq!(first.into_body(), None);
//! let second = client.ready().await?.call(turn()?).await?;
//! assert_eq!(second.into_body().unwrap(), "replica-3");
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! - What is sent, remembered and forgotten: [`AffinityTokenLayer`].
//! - The names that gateways use: [`header`].
//! - What a token is, and what it is remembered for: [`Token`], [`Session`].
//! - The bounds of the default store, and a store of your own: [`MemoryStore`], [`TokenStore`].
//! - Whether tokens are issued, and why one is gone: [`AffinityTokenLayer::on_outcome`], [`Outcome`].
//! - A gateway that issues a token only on request: [`AffinityTokenLayer::opening`].
//! - A gateway that limits how long a token is valid: [`AffinityTokenLayer::lifetime`], [`attributes`].
//!
//! # Features
//!
//! - `memory` (on by default): [`MemoryStore`] and [`attributes::lifetime`]. Both read the clock, which panics on
//!   `wasm32-unknown-unknown`. Without this feature the crate builds there, with a [`TokenStore`] of your own
//!   ([`AffinityTokenLayer::with_store`]).
//! - `tracing`: one event for each [`Outcome`], which never shows a key or a token.
//!
//! # Where it goes in a stack
//!
//! - Inside a retry, so that the second attempt starts without the dead token.
//! - Inside anything that adds or rewrites the host.
//! - Inside a response cache. Outside it, a cached response would bring one session's token to others.
//! - On either side of a `SessionAffinityLayer`, if the first hop hashes a key and the second issues tokens.

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

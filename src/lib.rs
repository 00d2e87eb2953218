#![cfg_attr(docsrs, feature(doc_cfg))]
//! One session-affinity header on every request of a conversation.
//!
//! LLM servers cache the prompts that they have read (the *prefix cache*). A chat sends its whole
//! history again on every turn, so a turn that reaches the replica of the last one is served from that
//! cache; behind a balancer of N replicas it gets there with a chance of 1 in N. Balancers solve that
//! by hashing a header that names the session. [`SessionAffinityLayer`] sends that header from any
//! tower stack: at most one value, with a list of hosts only to those, and without ever failing a
//! request.
//!
//! # Quick start
//!
//! ```
//! use http::Request;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_session_affinity::{AffinityKey, SessionAffinityLayer};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Any `Service<http::Request<_>>`: hyper, tonic, kube, …
//!     // This one returns what it received.
//!     let client = service_fn(async |request: Request<()>| Ok::<_, http::Error>(request));
//!     let client = ServiceBuilder::new().layer(SessionAffinityLayer::new()).service(client);
//!
//!     let key: AffinityKey = "chat-7".parse()?;
//!     let request = Request::post("https://api.example/v1/chat").extension(key).body(())?;
//!     let received = client.oneshot(request).await?;
//!     assert_eq!(received.headers()["x-session-affinity"], "chat-7");
//!     Ok(())
//! }
//! ```
//!
//! # Where things are
//!
//! | question | answer |
//! |---|---|
//! | What is a valid key? | [`AffinityKey`] |
//! | Where does it come from? | [`KeyExtractor`]: [`FromExtension`], [`FromHeaders`], [`FromCookie`], [`from_fn`], a fixed key |
//! | How does a gateway adopt its caller's session? | [`SessionAffinityLayer::adopt`], and `adopt_derived`, feature `hmac` |
//! | What if the header is there already? | [`MergePolicy`] |
//! | Which name does my provider read? | [`SessionAffinityLayer::destinations`] with [`Destinations::known`]; else [`header`] |
//! | My provider reads a body field | `PromptCacheKeyLayer`, feature `body-field` |
//! | Which hosts may see it? | [`HostPattern`] and [`SessionAffinityLayer::only_hosts`] |
//! | How does one request go without? | [`NoAffinity`] |
//! | How does an agent's every call carry its caller's session? | `AffinityScopeLayer` and `FromScope`, feature `scope`; `AffinityFutureExt` and `carry` for spawned work |
//! | Which session is a sub-agent's parent? | [`ParentKey`] and [`FromParent`] |
//! | My client has a hook and no `Service` | [`SessionAffinityLayer::stamp`] |
//! | What did it do? | [`Outcome`], [`SessionAffinityLayer::on_outcome`], [`SessionAffinityLayer::expect_key`] |
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `scope` | the key of the current task: `AffinityScopeLayer` for servers, `FromScope` for clients, `in_current_affinity` and `carry` for spawned work |
//! | `hmac` | `AffinitySecret`: keys that reveal nothing, and a different one at each provider |
//! | `body-field` | `PromptCacheKeyLayer`: the session in a field of a JSON body, while it streams |
//! | `reqwest` | the layer around a `reqwest::Client` of reqwest 0.13 |
//! | `reqwest-middleware` | the layer as a `reqwest_middleware::Middleware`, version 0.5, for reqwest 0.13 |
//! | `tracing` | one event for each request with the [`Outcome`], never the key |
//! | `uuid` | `AffinityKey: From<uuid::Uuid>`, for uuid 1 |
//!
//! # Your stack
//!
//! | your stack | the lines to add |
//! |---|---|
//! | hyper-util, tonic client, any tower client | `ServiceBuilder::new().layer(layer).service(client)` |
//! | hyper-util server | `TowerToHyperService::new(layer.layer(service))` |
//! | axum, tonic server | `.layer(layer)`; before handlers that call LLMs `.layer(AffinityScopeLayer::new().or(sessions))` |
//! | axum gateway | `.adopt(header::CALLER_SESSIONS)` on the layer around its client |
//! | reqwest 0.13, feature `reqwest` | `ServiceBuilder::new().layer(layer).service(reqwest::Client::new())`; its requests from `client.get_ref().post(…)…build()?` |
//! | reqwest 0.12, ureq 3, tokio-tungstenite | [`layer.stamp(…)`](SessionAffinityLayer::stamp) on the request, 2 to 5 lines |
//! | reqwest-middleware 0.5, its feature | `ClientBuilder::new(client).with(layer).build()` |
//! | kube, octocrab | `.with_layer(&layer)` |
//! | async-openai, its feature `middleware` | `.with_http_service(…)` around a stack with the layer |
//! | rig, rmcp, the SDKs of AWS, Azure and Google Cloud, genai | [`layer.stamp(…)`](SessionAffinityLayer::stamp) in the stack's own hook |
//! | a Rust Worker: `fetch`, a service binding | `ServiceBuilder::new().layer(layer).service(service_fn(fetch))` |
//! | a Rust Worker: AI binding, AI Gateway | [`layer.stamp(…)`](SessionAffinityLayer::stamp) into `extraHeaders`, or the headers of a request |
//! | a Rust Worker: Durable Object | the object's id as the key: `key.scope(…)` |
//!
//! `docs/stacks.md` in the repository has the lines in full; each is the wiring of a test over real sockets.
//!
//! # Where it goes in a stack
//!
//! - Outside a retry, or inside one whose policy copies the extensions (`request.clone()` does): a copy
//!   without them has neither the key nor [`NoAffinity`], and from the second attempt on a fallback's key
//!   is sent.
//! - *Inside* tower-http's `FollowRedirect`. Outside, the header follows a redirect to a different
//!   host, as any header does that is not a known credential. Inside,
//!   [`SessionAffinityLayer::only_hosts`] or [`SessionAffinityLayer::destinations`] keeps every value from
//!   that host. Without either, only a key in the extensions does not follow (tower-http 0.7); a fixed key,
//!   a closure's key, an inbound header's key and the caller's own header do.
//! - Inside anything that rewrites the host, if you use a list or table of hosts, or a derivation for each
//!   host.
//! - Above a `tower::buffer::Buffer`, if the key is that of the scope: the buffer's worker is a task of
//!   its own.
//! - A `PromptCacheKeyLayer` outside a [`SessionAffinityLayer`] that takes the caller's headers out.
//!
//! # What it is not
//!
//! Affinity is a hint. It does not isolate tenants from each other, it authenticates nobody, and a gateway
//! may ignore it: measure that yours does not.

#[cfg(feature = "body-field")]
mod body;
mod client;
mod cookie;
mod derived;
mod destination;
#[cfg(feature = "tracing")]
mod events;
mod extract;
mod head;
pub mod header;
mod host;
mod key;
mod layer;
mod merge;
mod names;
mod outcome;
mod parent;
#[doc(hidden)]
pub mod rules;
#[cfg(feature = "scope")]
mod scope;
mod service;
mod stamp;
#[cfg(feature = "uuid")]
mod uuid;

#[cfg(feature = "body-field")]
pub use body::{FieldBody, PromptCacheKey, PromptCacheKeyLayer};
pub use cookie::{FromCookie, InvalidCookieName};
#[cfg(feature = "hmac")]
pub use derived::{AffinitySecret, DerivedFromCookie, DerivedFromHeaders, InvalidAffinitySecret};
pub use destination::{Destination, Destinations, InvalidDestination};
pub use extract::{FromExtension, FromFn, FromHeaders, KeyExtractor, NoAffinity, Or, from_fn};
pub use head::RequestHead;
pub use host::{HostPattern, InvalidHostPattern};
pub use key::{AffinityKey, InvalidAffinityKey};
pub use layer::SessionAffinityLayer;
pub use merge::MergePolicy;
pub use outcome::Outcome;
pub use parent::{FromParent, ParentKey};
#[cfg(feature = "scope")]
pub use scope::{
    AffinityFutureExt, AffinityScope, AffinityScopeLayer, FromScope, Scoped, ScopedBody,
    ScopedResponseFuture, carry, carry_async,
};
pub use service::SessionAffinity;

/// The examples of the README, compiled and run; some are of these features.
#[cfg(all(doctest, feature = "body-field", feature = "hmac", feature = "scope"))]
#[doc = include_str!("../README.md")]
struct Readme;

#![cfg_attr(docsrs, feature(doc_cfg))]
//! A tower layer that keeps an LLM conversation on the replica that has its prompt cached.
//!
//! A chat resends its whole history on every turn. With N replicas behind a load balancer, only one turn
//! in N reaches the replica that served the one before, and has its history in the prefix cache.
//! [`SessionAffinityLayer`] sends the header that providers and load balancers route by, so that every
//! turn reaches that replica.
//!
#![doc = include_str!("../docs/affinity.svg")]
//!
//! # Start
//!
//! ```console
//! $ cargo add tower-session-affinity http
//! $ cargo add tower --features util
//! $ cargo add tokio --features macros,rt-multi-thread
//! ```
//!
//! Two lines: the layer around any `Service<http::Request<_>>`, and a key in the extensions of a
//! request.
//!
//! ```
//! use http::Request;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use tower_session_affinity::{AffinityKey, SessionAffinityLayer};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Your client: hyper, tonic, kube, … This one returns the request that it would send.
//! let client = service_fn(async |request: Request<()>| Ok::<_, http::Error>(request));
//! let client = ServiceBuilder::new().layer(SessionAffinityLayer::new()).service(client);
//!
//! let key: AffinityKey = "chat-7".parse()?;
//! let request = Request::post("https://llm.example/v1/chat").extension(key).body(())?;
//! let sent = client.oneshot(request).await?;
//! assert_eq!(sent.headers()["x-session-affinity"], "chat-7");
//! # Ok(())
//! # }
//! ```
//!
//! At most one value is sent, and the layer never fails a request: its future and its error are those
//! of the inner service. [`MergePolicy`] says what happens to a header that the caller has set.
//!
//! # Your provider
//!
//! Providers read different names, and a wrong one fails silently. [`Destinations::known`] chooses the
//! name by the host: `SessionAffinityLayer::new().destinations(Destinations::known())`. OpenAI reads a
//! field of the body, which [`PromptCacheKeyLayer`](struct.PromptCacheKeyLayer.html) (feature
//! `body-field`) writes. [`header`] has the names of gateways. More: [`guide::providers`],
//! [`guide::body_field`], [`guide::gateways`].
//!
//! # Your stack
//!
//! - hyper-util, tonic, and any other tower client:
//!   `ServiceBuilder::new().layer(layer).service(client)`.
//! - reqwest 0.13 (feature `reqwest`): the same, around a `reqwest::Client`. Requests come from
//!   `client.get_ref().post(…).build()`, and a key in their extensions is not seen.
//! - reqwest-middleware 0.5 (its feature): `ClientBuilder::new(client).with(layer).build()`.
//! - kube, octocrab: `.with_layer(&layer)`. async-openai: `.with_http_service(…)`.
//! - axum and tonic servers: `.layer(layer)`. A gateway: [`adopt`](SessionAffinityLayer::adopt).
//! - Any client that lets you set headers, such as reqwest 0.12, ureq or an SDK:
//!   [`layer.stamp(…)`](SessionAffinityLayer::stamp).
//!
//! The lines in full: [`guide::stacks`]. Redirects, retries, buffers: [`guide::placement`].
//!
//! # Where keys come from
//!
//! An [`AffinityKey`] in the request's extensions comes before every other source. Then the sources are asked in order:
//! [`FromHeaders`], [`FromCookie`], a closure ([`or_fn`](SessionAffinityLayer::or_fn)), a fixed key, or
//! a [`KeyExtractor`] of your own. [`NoAffinity`] in the extensions sends a request without a key.
//!
//! # An agent
//!
//! With the feature `scope`, [`AffinityScopeLayer`](struct.AffinityScopeLayer.html) makes the caller's
//! key available while a server handles a request, and [`FromScope`](struct.FromScope.html) takes it on
//! the clients that the handler uses. `in_current_affinity` and `carry` take it along to spawned work,
//! and [`ParentKey`] names the session of a sub-agent's parent. More: [`guide::scope`].
//!
//! # Privacy
//!
//! Gateways log keys. With the feature `hmac`, an [`AffinitySecret`](struct.AffinitySecret.html)
//! derives keys that reveal nothing. [`only_hosts`](SessionAffinityLayer::only_hosts) with a
//! [`HostPattern`], or the table of destinations, keeps the header from every other host. Affinity
//! neither isolates tenants nor authenticates anyone. More: [`guide::privacy`].
//!
//! # Measure
//!
//! [`on_outcome`](SessionAffinityLayer::on_outcome) reports an [`Outcome`] for each request, and
//! [`expect_key`](SessionAffinityLayer::expect_key) makes a missing key a warning (feature `tracing`).
//! `affinity-probe`, a program beside this crate, measures whether your endpoint honors a key. More:
//! [`guide::observability`], [`guide::gateways`], [`guide::benchmarks`].
//!
//! # Features
//!
//! None is on by default; the crate then depends on `http`, `tower-layer` and `tower-service` alone.
//!
//! - `reqwest`: the layer around a `reqwest::Client`. For reqwest 0.13; 0.12 needs
//!   [`stamp`](SessionAffinityLayer::stamp).
//! - `reqwest-middleware`: the layer as a middleware of reqwest-middleware 0.5, which is built on
//!   reqwest 0.13.
//! - `scope`: the key of the current task. It needs tokio's `rt`, and a task that you spawn has to take
//!   the key along.
//! - `hmac`: derived keys. It adds the crates `hmac`, `sha2`, `zeroize` and `data-encoding`; the secret
//!   must be the same in every process.
//! - `body-field`: the key in a JSON body. The body's type changes to `FieldBody` (not around reqwest), and
//!   a streamed body always grows: by the field, or by as many spaces.
//! - `tracing`: one event for each request, never with the key. It is off so that no request pays for
//!   it.
//! - `uuid`: keys from `uuid::Uuid`, of the crate `uuid` 1.x.

#[cfg(feature = "body-field")]
mod body;
mod client;
mod cookie;
mod derived;
mod destination;
#[cfg(feature = "tracing")]
mod events;
mod extract;
// Its examples need the features that they are about.
#[cfg(all(
    doc,
    any(
        not(doctest),
        all(
            feature = "body-field",
            feature = "hmac",
            feature = "reqwest-middleware",
            feature = "scope"
        )
    )
))]
#[cfg_attr(docsrs, doc(auto_cfg = false))]
pub mod guide;
mod head;
pub mod header;
mod host;
mod key;
mod layer;
// Beside `layer` and not below it: rustdoc shows the methods of a child module before `new`.
#[cfg(feature = "hmac")]
mod layer_derived;
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

/// The examples of the README, compiled and run.
#[cfg(all(
    doctest,
    feature = "body-field",
    feature = "hmac",
    feature = "reqwest-middleware",
    feature = "scope"
))]
#[doc = include_str!("../README.md")]
struct Readme;

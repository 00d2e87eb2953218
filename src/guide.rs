//! The guide: a page for each question that goes beyond one item.
//!
//! - [`stacks`]: the lines to add to your HTTP client or server.
//! - [`providers`]: which name your provider reads.
//! - [`gateways`]: tested configurations of load balancers and gateways, and what a key gains behind them.
//! - [`placement`]: where the layer goes among redirects, retries and buffers.
//! - [`scope`]: the key of the current task, for servers that call LLMs.
//! - [`body_field`]: the key in a JSON body, for OpenAI.
//! - [`privacy`]: derived keys, trust boundaries, and what a list of hosts covers.
//! - [`observability`]: metrics, events, and a test of your own that the key is sent.
//! - [`redirects`]: what arrives at either origin of a redirect.
//! - [`benchmarks`]: what a request costs, beside tower-http and code by hand.
//! - [`soak`]: ten minutes of load and faults.
//! - [`peers`]: what JavaScript clients send, and how this crate differs.
//! - [`design`]: why things are as they are.
//!
//! The pages refer to files of the repository, such as tests, by their path.

#[doc = include_str!("../docs/benchmarks.md")]
pub mod benchmarks {}
#[doc = include_str!("../docs/body-field.md")]
pub mod body_field {}
#[doc = include_str!("../DESIGN.md")]
pub mod design {}
#[doc = include_str!("../docs/gateways.md")]
///
#[doc = include_str!("../docs/engine.svg")]
pub mod gateways {}
#[doc = include_str!("../docs/observability.md")]
pub mod observability {}
#[doc = include_str!("../docs/peers.md")]
pub mod peers {}
#[doc = include_str!("../docs/placement.md")]
pub mod placement {}
#[doc = include_str!("../docs/privacy.md")]
pub mod privacy {}
#[doc = include_str!("../docs/providers.md")]
pub mod providers {}
#[doc = include_str!("../docs/redirects.md")]
pub mod redirects {}
#[doc = include_str!("../docs/scope.md")]
pub mod scope {}
#[doc = include_str!("../docs/soak.md")]
pub mod soak {}
#[doc = include_str!("../docs/stacks.md")]
pub mod stacks {}

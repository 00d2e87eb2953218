//! The header names under which gateways issue tokens, each with who does.
//!
//! Some names are in both families, with another meaning in each: AIBrix issues its own token as
//! `x-session-id`, which to others is a key that the client chooses. The two names that both families
//! share are in [`tower_session_affinity::header`]: `X_SESSION_ID` (here AIBrix, with
//! `routing-strategy: session-affinity`) and `X_MULTI_TURN_SESSION_ID` (here NVCF).
//!
//! Each entry ends with the grade of its evidence, as of November 2026: **D**, the vendor's
//! documentation or the project's own source; **R**, run against the program by this project.
//!
//! Envoy's, YARP's and Istio's name is the one in your configuration.

use http::HeaderName;

/// llm-d's router by default, and a usual name in a configuration of Envoy.
///
/// llm-d: `namespace/pod` in base64. **D** Envoy's `stateful_session` filter with a header as its
/// session state: `address:port` in base64, on the first answer and on each that comes from another
/// replica than the token says. **R**
pub const X_SESSION_TOKEN: HeaderName = HeaderName::from_static("x-session-token");

/// llm-d's router with split prefill and decode: the replica that prefills, beside [`X_SESSION_TOKEN`]
/// for the one that decodes.
///
/// The name is the one in its documentation's configuration, where a second instance of the plugin has
/// `profileName: prefill`. `namespace/pod` in base64. It takes a second layer: the two tokens are
/// remembered apart. **D**
pub const X_SESSION_TOKEN_PREFILL: HeaderName = HeaderName::from_static("x-session-token-prefill");

/// The Responses API of the ChatGPT backend, as Codex uses it: the state of a turn.
///
/// The first answer of a turn brings it; every later request of the turn repeats it unchanged, and no
/// request of another turn: see [`first_token_wins`](crate::AffinityTokenLayer::first_token_wins). **D**
pub const X_CODEX_TURN_STATE: HeaderName = HeaderName::from_static("x-codex-turn-state");

/// Amazon SageMaker's stateful sessions, in a request: the id, or `NEW_SESSION` to open one.
///
/// At most 256 characters, letters, digits and inner hyphens. Only `InvokeEndpoint` opens a session,
/// not its streaming form. **D**
pub const X_AMZN_SAGEMAKER_SESSION_ID: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-session-id");

/// Amazon SageMaker's stateful sessions, in the response: `ID; Expires=yyyy-mm-ddThh:mm:ssZ`.
///
/// It comes with the answer to `NEW_SESSION` alone. **D**
pub const X_AMZN_SAGEMAKER_NEW_SESSION_ID: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-new-session-id");

/// Amazon SageMaker's stateful sessions, in the response: the id of a session that is over.
///
/// It comes with the answer to a request that closes the session. **D**
pub const X_AMZN_SAGEMAKER_CLOSED_SESSION_ID: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-closed-session-id");

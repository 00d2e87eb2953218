//! The header names under which gateways issue tokens.
//!
//! Two more names are in [`tower_session_affinity::header`], since other gateways read a client-chosen key
//! under them: `X_SESSION_ID` (AIBrix issues its token there, with `routing-strategy: session-affinity`) and
//! `X_MULTI_TURN_SESSION_ID` (NVCF). For Envoy, YARP and Istio, use the name in your configuration.
//!
//! Each entry ends with the grade of its evidence, as of November 2026: **D** for the vendor's documentation
//! or the project's own source, **R** for a run against the program by this project.

use http::HeaderName;

/// The default of llm-d's router, and a common name in Envoy configurations.
///
/// llm-d issues `namespace/pod` in base64. **D** Envoy's `stateful_session` filter with header-based session
/// state issues `address:port` in base64: on the first response, and on each response from a replica other
/// than the one that the token names. **R**
pub const X_SESSION_TOKEN: HeaderName = HeaderName::from_static("x-session-token");

/// llm-d's router with split prefill and decode: names the replica that prefills, while [`X_SESSION_TOKEN`]
/// names the one that decodes.
///
/// The name comes from the configuration in llm-d's documentation, where a second instance of the plugin has
/// `profileName: prefill`. The token is `namespace/pod` in base64. Add a second layer for it, which remembers
/// this token separately. **D**
pub const X_SESSION_TOKEN_PREFILL: HeaderName = HeaderName::from_static("x-session-token-prefill");

/// The Responses API of the ChatGPT backend, as Codex uses it: the state of a turn.
///
/// The first response of a turn brings it. Every later request of that turn repeats it unchanged; requests
/// of other turns must not carry it. See
/// [`first_token_wins`](crate::AffinityTokenLayer::first_token_wins). **D**
pub const X_CODEX_TURN_STATE: HeaderName = HeaderName::from_static("x-codex-turn-state");

/// Amazon SageMaker's stateful sessions, in a request: the session id, or `NEW_SESSION` to open a session.
///
/// An id has at most 256 characters: letters, digits and inner hyphens. Only `InvokeEndpoint` opens a
/// session; its streaming variant does not. **D**
pub const X_AMZN_SAGEMAKER_SESSION_ID: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-session-id");

/// Amazon SageMaker's stateful sessions, in a response: `ID; Expires=yyyy-mm-ddThh:mm:ssZ`.
///
/// Only the response to `NEW_SESSION` has it. **D**
pub const X_AMZN_SAGEMAKER_NEW_SESSION_ID: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-new-session-id");

/// Amazon SageMaker's stateful sessions, in a response: the id of a session that has ended.
///
/// The response to a request that closes the session has it. **D**
pub const X_AMZN_SAGEMAKER_CLOSED_SESSION_ID: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-closed-session-id");

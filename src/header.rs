//! The header names that providers and gateways read, each with who reads it.
//!
//! There is no standard name, and a wrong one fails silently. Pick the constant of *your* endpoint, give
//! it to [`SessionAffinityLayer::header_name`](crate::SessionAffinityLayer::header_name), and measure
//! that it helps. A gateway that adopts its caller's session reads [`CALLER_SESSIONS`].
//!
//! ```
//! use tower_session_affinity::{SessionAffinityLayer, header};
//!
//! let layer = SessionAffinityLayer::new().header_name(header::X_SESSION_ID);
//! ```
//!
//! # Evidence
//!
//! Each constant says what shows that it is read, as of November 2026:
//!
//! - *documentation or source*: the vendor's documentation or the project's own source code;
//! - *pull request or issue*: one of the project;
//! - *third party*: only others say so;
//! - *unconfirmed*: nothing confirms it;
//! - *tested*: this project ran the program.
//!
//! # Limits
//!
//! A UUID fits every limit below. If a constant gives no limit, none is documented.
//!
//! OpenAI, Mistral and the Responses API of xAI document a body field instead, `prompt_cache_key`.
//! `PromptCacheKeyLayer` (feature `body-field`) sets it. More:
//! [which name your provider reads](crate::guide::providers).
//!
//! # On the way
//!
//! LiteLLM's proxy drops every `x-` header of its caller by default. Behind it none of the `x-` names
//! below arrives unless `forward_client_headers_to_llm_api` is on (documentation or source).
//!
//! All names use hyphens. Some Codex clients send `session_id` instead: by default nginx drops a name
//! with an underscore, and Envoy with `headers_with_underscores_action: REJECT_REQUEST` answers it with
//! 400.

use http::HeaderName;

/// Read by Cloudflare Workers AI, Fireworks, NVIDIA TensorRT-LLM and many gateways.
///
/// The value is an opaque id of the session or agent. It routes to the replica that has the prefix of the
/// session cached. No limit is documented.
///
/// - TensorRT-LLM reads `x-session-id` first.
/// - A dedicated Fireworks deployment also needs the Enterprise plan and `--enable-session-affinity`.
/// - llm-d's plugin `agent-identity` reads it after `x-claude-code-session-id` and before `session-id`,
///   for fairness and for its affinity filter.
/// - DeepInfra is said to read it (unconfirmed).
/// - vLLM's `vllm-router` does not read it (tested).
///
/// Evidence: documentation or source.
pub const X_SESSION_AFFINITY: HeaderName = HeaderName::from_static("x-session-affinity");

/// Read by OpenRouter, vLLM's `vllm-router`, Ray Serve LLM, TensorRT-LLM, NVIDIA Dynamo and LLM Gateway.
///
/// - OpenRouter takes at most 256 characters. LangChain says that it refuses more than 128.
/// - In `vllm-router` the name is fixed, and requests without it go by their body: equal ones to one replica.
/// - AIBrix issues a token of its own under this name, so there the client must not choose the value.
/// - OpenCode sends it to most providers, beside `x-session-affinity`.
///
/// Evidence: documentation or source.
pub const X_SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");

/// Read by Mistral, whose own client `mistral-vibe` sends it.
///
/// Mistral documents the body field `prompt_cache_key` instead.
///
/// Evidence: third party.
pub const X_AFFINITY: HeaderName = HeaderName::from_static("x-affinity");

/// Read by xAI, for Chat Completions over HTTP and gRPC.
///
/// The Responses API reads the body field `prompt_cache_key` instead.
///
/// Evidence: documentation or source.
pub const X_GROK_CONV_ID: HeaderName = HeaderName::from_static("x-grok-conv-id");

/// Read by SMG (formerly the SGLang router), which can be configured to read a different name.
///
/// It needs `--policy consistent_hashing` or `manual`. Not every version forwards this header or
/// `x-session-affinity` to the worker.
///
/// Evidence: documentation or source.
pub const X_SMG_ROUTING_KEY: HeaderName = HeaderName::from_static("x-smg-routing-key");

/// Read by NVIDIA Dynamo.
///
/// More than 256 bytes are an error there, and so are more sessions than its table holds (65,536). The
/// header is passive unless a time to live is set on the router.
///
/// Evidence: documentation or source.
pub const X_DYNAMO_SESSION_ID: HeaderName = HeaderName::from_static("x-dynamo-session-id");

/// Read by NVIDIA Dynamo as the session that started this one.
///
/// A child is bound under a key of its parent, and the parent keeps its own; this is experimental since
/// September 2026. Send it only beside `x-dynamo-session-id`, without which it does not count. If that
/// header is there, Dynamo ignores the ids that agents send by themselves. The limit is 256 bytes.
///
/// Evidence: documentation or source.
pub const X_DYNAMO_PARENT_SESSION_ID: HeaderName =
    HeaderName::from_static("x-dynamo-parent-session-id");

/// Sent by OpenCode for a subagent; read by gateways that tell subagents from their parents.
///
/// OpenCode sends it beside `x-session-affinity`. No limit is documented.
///
/// Evidence: pull request 20744 of opencode.
pub const X_PARENT_SESSION_ID: HeaderName = HeaderName::from_static("x-parent-session-id");

/// Read by llm-d as the tenant or agent whose requests share a queue.
///
/// It decides about fairness, not about the replica, and it wins over the caller's session. Metrics
/// distinguish at most 1,000 values, so name tenants, not conversations. Its name was
/// `x-gateway-inference-fairness-id` before.
///
/// Evidence: documentation or source.
pub const X_LLM_D_INFERENCE_FAIRNESS_ID: HeaderName =
    HeaderName::from_static("x-llm-d-inference-fairness-id");

/// Read by AIBrix, with `routing-strategy: session-affinity`.
///
/// The limit is 256 bytes: a longer key is silently dropped. AIBrix's `x-session-id` is a token that the
/// gateway issues, not this key.
///
/// Evidence: documentation or source.
pub const X_AIBRIX_SESSION_KEY: HeaderName = HeaderName::from_static("x-aibrix-session-key");

/// Read by Bifrost.
///
/// The limit is 255 characters: with a longer value there is no session.
///
/// Evidence: documentation or source.
pub const X_BF_SESSION_ID: HeaderName = HeaderName::from_static("x-bf-session-id");

/// Read by the LiteLLM proxy if its `session_affinity` check is on.
///
/// LiteLLM does not forward it, nor any other `x-` header of the caller, unless
/// `forward_client_headers_to_llm_api` is on (documentation or source).
///
/// Evidence: pull request or issue.
pub const X_LITELLM_SESSION_ID: HeaderName = HeaderName::from_static("x-litellm-session-id");

/// Read by NVCF's LLM gateway, and by Fireworks for reinforcement-learning rollouts.
///
/// NVCF answers with it and expects it back; a blank value counts as absent. Fireworks says that
/// prompt-cache routing does not need it (third party).
///
/// Evidence: documentation or source.
pub const X_MULTI_TURN_SESSION_ID: HeaderName = HeaderName::from_static("x-multi-turn-session-id");

/// Read by OpenCode Go and Zen.
///
/// OpenCode's own client sends it. Requests without it are answered with 400 since September 2026 (third
/// party).
///
/// Evidence: documentation or source.
pub const X_OPENCODE_SESSION: HeaderName = HeaderName::from_static("x-opencode-session");

/// Read by Baseten if it is enabled for the account.
///
/// Evidence: documentation or source.
pub const X_BASETEN_SESSION_ID: HeaderName = HeaderName::from_static("x-baseten-session-id");

/// Read by Modal, which routes by rendezvous hashing, on a best-effort basis.
///
/// Evidence: documentation or source.
pub const MODAL_SESSION_ID: HeaderName = HeaderName::from_static("modal-session-id");

/// Read by Google Vertex AI for Claude on the global endpoint.
///
/// Evidence: third party.
pub const X_VERTEX_AI_SESSION_ID: HeaderName = HeaderName::from_static("x-vertex-ai-session-id");

/// Read by Amazon SageMaker endpoints with `RoutingStrategy=PREFIX_AWARE`.
///
/// The limit is 1 to 64 printable characters, so a key of this crate may be too long. SageMaker's
/// `X-Amzn-SageMaker-Session-Id` is a token that the endpoint issues, not this key.
///
/// Evidence: documentation or source.
pub const X_AMZN_SAGEMAKER_PREFIX_AWARE_ID: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-prefix-aware-id");

/// Sent by Claude Code; read by NVIDIA Dynamo and by gateways that adopt a caller's session.
///
/// A subagent sends its parent's.
///
/// Evidence: third party.
pub const X_CLAUDE_CODE_SESSION_ID: HeaderName =
    HeaderName::from_static("x-claude-code-session-id");

/// Sent by newer Codex clients; read by the ChatGPT backend and by NVIDIA Dynamo.
///
/// The value is a UUID, or at most 64 bytes: the ChatGPT backend uses it as the `prompt_cache_key` and
/// answers a longer one with 400 (issue 6630 of pi). Strict proxies refuse the older spelling
/// `session_id`.
///
/// Evidence: third party.
pub const SESSION_ID: HeaderName = HeaderName::from_static("session-id");

/// The names under which callers send their session, for a gateway that adopts it.
///
/// They are read in this order: `x-session-affinity`, `x-session-id`, `x-claude-code-session-id`,
/// `session-id`. OpenCode and Crush send the first two, Claude Code the third, Codex the last.
///
/// # Examples
///
/// ```
/// use tower_session_affinity::{AffinityKey, FromHeaders, KeyExtractor, header};
///
/// let callers = FromHeaders::new(header::CALLER_SESSIONS);
/// let request = http::Request::get("/").header("session-id", "0199c0de").body(())?;
/// assert_eq!(callers.extract((&request).into()), Some(AffinityKey::from_static("0199c0de")));
/// # Ok::<_, http::Error>(())
/// ```
///
/// # What is left out
///
/// - `x-client-request-id`, although some clients put their session there. OpenAI documents it as the
///   name of one request, so a client that follows the documentation would get a different key on every
///   turn. LLM Gateway refuses it as a session for that reason (its pull request 3011).
/// - Names with an underscore, since proxies drop them on the way.
pub const CALLER_SESSIONS: [HeaderName; 4] = [
    X_SESSION_AFFINITY,
    X_SESSION_ID,
    X_CLAUDE_CODE_SESSION_ID,
    SESSION_ID,
];

//! The header names that the field reads, each with who reads it.
//!
//! The name is not settled, and a wrong one fails silently: pick the constant of *your* endpoint, give
//! it to [`SessionAffinityLayer::header_name`](crate::SessionAffinityLayer::header_name), and measure
//! that it helps. [`CALLER_SESSIONS`] are the names under which callers send their session.
//!
//! Each entry ends with the grade of its evidence, as of November 2026: **D**, the vendor's
//! documentation or the project's own source; **P**, a pull request or issue of the project; **T**, a
//! third party only; **U**, not confirmed; **R**, run against the program by this project.
//!
//! All names have hyphens. Some Codex clients spell theirs `session_id`: by default nginx drops a name
//! with an underscore, and Envoy with `headers_with_underscores_action: REJECT_REQUEST` answers it with
//! 400.
//!
//! LiteLLM's proxy drops every `x-` header of its caller by default, so that behind it none of these
//! arrives unless `forward_client_headers_to_llm_api` is on (**D**).
//!
//! A UUID fits every limit below; where no limit is given, none is documented. OpenAI, Mistral and the
//! Responses API of xAI read a body field instead, `prompt_cache_key`: that is what `PromptCacheKeyLayer`
//! sets (feature `body-field`).

use http::HeaderName;

/// Cloudflare Workers AI, Fireworks, NVIDIA TensorRT-LLM (after `x-session-id`) and many gateways.
///
/// An opaque id of the session or agent, which routes to the replica that has its prefix cached. No
/// limit is documented. A dedicated Fireworks deployment also needs the Enterprise plan and
/// `--enable-session-affinity`. llm-d's plugin `agent-identity` reads it behind
/// `x-claude-code-session-id` and before `session-id`, for fairness and its affinity filter. DeepInfra
/// is said to read it (U). Not read by vLLM's `vllm-router` (R). **D**
pub const X_SESSION_AFFINITY: HeaderName = HeaderName::from_static("x-session-affinity");

/// OpenRouter, vLLM's `vllm-router`, Ray Serve LLM, TensorRT-LLM, NVIDIA Dynamo and LLM Gateway.
///
/// OpenRouter takes at most 256 characters, and LangChain says that it refuses more than 128. In
/// `vllm-router` the name is fixed, and requests without it all go to one replica. AIBrix gives this
/// name to a token of its own instead, so there it must not be chosen by the client. OpenCode sends it
/// to most providers, beside `x-session-affinity`. **D**
pub const X_SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");

/// Mistral; its own client `mistral-vibe` sends it.
///
/// The documented way is the body field `prompt_cache_key`. **T**
pub const X_AFFINITY: HeaderName = HeaderName::from_static("x-affinity");

/// xAI, Chat Completions over HTTP and gRPC.
///
/// The Responses API reads the body field `prompt_cache_key` instead. **D**
pub const X_GROK_CONV_ID: HeaderName = HeaderName::from_static("x-grok-conv-id");

/// SMG (formerly the SGLang router), where another name can be configured.
///
/// Needs `--policy consistent_hashing` or `manual`; neither this name nor `x-session-affinity` is
/// forwarded to the worker by every version. **D**
pub const X_SMG_ROUTING_KEY: HeaderName = HeaderName::from_static("x-smg-routing-key");

/// NVIDIA Dynamo.
///
/// More than 256 bytes are an error to it, and so are more sessions than its table holds (65,536).
/// Passive unless the router has a time to live set. **D**
pub const X_DYNAMO_SESSION_ID: HeaderName = HeaderName::from_static("x-dynamo-session-id");

/// NVIDIA Dynamo, for the session that started this one.
///
/// Children bind under a key of their parent, and the parent keeps its own; experimental since
/// September 2026. It counts only beside `x-dynamo-session-id`: with that name Dynamo ignores the ids
/// that agents send of themselves, so the two are sent as a pair. The limit is 256 bytes, as there.
/// **D**
pub const X_DYNAMO_PARENT_SESSION_ID: HeaderName =
    HeaderName::from_static("x-dynamo-parent-session-id");

/// Sent by OpenCode for a subagent, beside `x-session-affinity`; read by gateways that tell subagents
/// from their parents.
///
/// opencode, pull request 20744; no limit is documented. **P**
pub const X_PARENT_SESSION_ID: HeaderName = HeaderName::from_static("x-parent-session-id");

/// llm-d, for the tenant or agent whose requests share a queue.
///
/// It decides about fairness and not about the replica, and wins over the caller's session. Metrics tell at most 1,000 values apart, so name tenants and not conversations. It was
/// `x-gateway-inference-fairness-id` before. **D**
pub const X_LLM_D_INFERENCE_FAIRNESS_ID: HeaderName =
    HeaderName::from_static("x-llm-d-inference-fairness-id");

/// AIBrix, with `routing-strategy: session-affinity`.
///
/// At most 256 bytes: a longer key is silently dropped. AIBrix's `x-session-id` is a token that the gateway issues, not this key. **D**
pub const X_AIBRIX_SESSION_KEY: HeaderName = HeaderName::from_static("x-aibrix-session-key");

/// Bifrost.
///
/// At most 255 characters; over that there is no session. **D**
pub const X_BF_SESSION_ID: HeaderName = HeaderName::from_static("x-bf-session-id");

/// LiteLLM proxy, with its `session_affinity` check on.
///
/// LiteLLM reads it and does not send it on, nor any other `x-` header of the caller, unless
/// `forward_client_headers_to_llm_api` is on (D). **P**
pub const X_LITELLM_SESSION_ID: HeaderName = HeaderName::from_static("x-litellm-session-id");

/// NVCF's LLM gateway, and Fireworks for roll-outs of reinforcement learning.
///
/// NVCF answers with it and expects it back; blank counts as absent. Fireworks says that it is not
/// needed for prompt-cache routing (T). **D**
pub const X_MULTI_TURN_SESSION_ID: HeaderName = HeaderName::from_static("x-multi-turn-session-id");

/// OpenCode Go and Zen, which answer 400 without it since September 2026 (T).
///
/// OpenCode's own client sends it. **D**
pub const X_OPENCODE_SESSION: HeaderName = HeaderName::from_static("x-opencode-session");

/// Baseten, where it must be enabled for the account.
///
/// **D**
pub const X_BASETEN_SESSION_ID: HeaderName = HeaderName::from_static("x-baseten-session-id");

/// Modal, best effort by rendezvous hashing.
///
/// **D**
pub const MODAL_SESSION_ID: HeaderName = HeaderName::from_static("modal-session-id");

/// Google Vertex AI, Claude on the global endpoint.
///
/// **T**
pub const X_VERTEX_AI_SESSION_ID: HeaderName = HeaderName::from_static("x-vertex-ai-session-id");

/// Amazon SageMaker endpoints with `RoutingStrategy=PREFIX_AWARE`.
///
/// 1 to 64 printable characters, so a key of this crate may be too long. SageMaker's `X-Amzn-SageMaker-Session-Id` is a token that the
/// endpoint issues, not this key. **D**
pub const X_AMZN_SAGEMAKER_PREFIX_AWARE_ID: HeaderName =
    HeaderName::from_static("x-amzn-sagemaker-prefix-aware-id");

/// Sent by Claude Code; read by NVIDIA Dynamo, and by gateways that adopt a caller's session.
///
/// Subagents send their parent's. **T**
pub const X_CLAUDE_CODE_SESSION_ID: HeaderName =
    HeaderName::from_static("x-claude-code-session-id");

/// Sent by newer Codex clients; read by the ChatGPT backend and by NVIDIA Dynamo.
///
/// A UUID, or at most 64 bytes: the ChatGPT backend takes it for the `prompt_cache_key` and answers a
/// longer one with 400 (pi, issue 6630: **P**). The older spelling `session_id` is what strict proxies
/// refuse. **T**
pub const SESSION_ID: HeaderName = HeaderName::from_static("session-id");

/// The names under which callers send their session, for a gateway that adopts it.
///
/// In the order in which they are asked: `x-session-affinity`, `x-session-id`,
/// `x-claude-code-session-id`, `session-id`. OpenCode and Crush send the first two, Claude Code the
/// third, Codex the last.
///
/// `x-client-request-id` is not among them, though some clients put their session there: at OpenAI it names
/// one request, so that a client which does as documented would get a different key on every turn. LLM
/// Gateway refuses it as a session for that reason (pull request 3011: **P**). Names with an underscore are
/// not among them either, since proxies drop them on the way.
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
pub const CALLER_SESSIONS: [HeaderName; 4] = [
    X_SESSION_AFFINITY,
    X_SESSION_ID,
    X_CLAUDE_CODE_SESSION_ID,
    SESSION_ID,
];

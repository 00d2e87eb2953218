//! The providers that this version knows.

use std::sync::LazyLock;

use http::HeaderName;

use super::{Destination, Destinations};
use crate::header;

/// The name of the body field of OpenAI and others.
const PROMPT_CACHE_KEY: &str = "prompt_cache_key";

/// The endpoints of OpenAI's API that read it.
const CHAT: &str = "/chat/completions";
const RESPONSES: &str = "/responses";

static KNOWN: LazyLock<Destinations> = LazyLock::new(|| {
    Destinations::new([
        reads("api.cloudflare.com", header::X_SESSION_AFFINITY),
        reads("api.fireworks.ai", header::X_SESSION_AFFINITY),
        limited(reads("openrouter.ai", header::X_SESSION_ID), 256),
        at(field("api.x.ai"), &[RESPONSES]),
        reads("api.x.ai", header::X_GROK_CONV_ID),
        at(both("api.mistral.ai", header::X_AFFINITY), &[CHAT]),
        reads("api.mistral.ai", header::X_AFFINITY),
        reads("opencode.ai", header::X_OPENCODE_SESSION),
        reads("api.llmgateway.io", header::X_SESSION_ID),
        reads("*.api.baseten.co", header::X_BASETEN_SESSION_ID),
        reads("*.modal.run", header::MODAL_SESSION_ID),
        at(limited(field("api.openai.com"), 64), &[CHAT, RESPONSES]),
        nothing("api.openai.com"),
        nothing("*.openai.azure.com"),
        nothing("*.services.ai.azure.com"),
        nothing("api.anthropic.com"),
        nothing("api.cerebras.ai"),
        nothing("api.deepseek.com"),
        nothing("api.groq.com"),
        nothing("api.kimi.com"),
        nothing("api.moonshot.ai"),
        nothing("api.together.xyz"),
        nothing("api-inference.together.ai"),
        nothing("integrate.api.nvidia.com"),
    ])
});

static UNCONFIRMED: LazyLock<Destinations> = LazyLock::new(|| {
    Destinations::new([
        reads("aiplatform.googleapis.com", header::X_VERTEX_AI_SESSION_ID),
        reads("api.deepinfra.com", header::X_SESSION_AFFINITY),
        reads("api.z.ai", header::X_SESSION_ID),
        reads("open.bigmodel.cn", header::X_SESSION_ID),
        limited(reads("chatgpt.com", header::SESSION_ID), 64),
        reads("inference.baseten.co", header::X_BASETEN_SESSION_ID),
        at(limited(field("*.api.openai.com"), 64), &[CHAT, RESPONSES]),
        at(limited(field("*.openai.azure.com"), 64), &[CHAT, RESPONSES]),
        at(
            limited(field("*.services.ai.azure.com"), 64),
            &[CHAT, RESPONSES],
        ),
        at(field("api.venice.ai"), &[CHAT]),
    ])
});

/// The tables.
///
/// Each row has a grade for its evidence (November 2026), as in [`header`](crate::header): **D**, the
/// vendor's documentation or the project's own source; **P**, a pull request or issue of the project; **T**,
/// a third party only; **U**, not confirmed.
impl Destinations {
    /// The hosted providers whose header or field is documented, or is sent by the provider's own client.
    ///
    /// | host | header | body field | limit | evidence |
    /// |---|---|---|---|---|
    /// | `api.cloudflare.com` | `x-session-affinity` | | none documented | **D** Workers AI, "Prompt caching" |
    /// | `api.fireworks.ai` | `x-session-affinity` | | none documented | **D**; a dedicated deployment needs `--enable-session-affinity` |
    /// | `openrouter.ai` | `x-session-id` | | 256 | **D** API reference |
    /// | `api.x.ai`, path `…/responses` | | `prompt_cache_key` | none documented | **D** "Maximizing cache hits" |
    /// | `api.x.ai`, any other path | `x-grok-conv-id` | | none documented | **D** the same |
    /// | `api.mistral.ai` | `x-affinity` | `prompt_cache_key`, path `…/chat/completions` | none documented | header: sent by Mistral's own `mistral-vibe` (**P** zed 48584); field: **D** "Prompt caching" |
    /// | `opencode.ai` | `x-opencode-session` | | none documented | **D** OpenCode's own client; required since September 2026 |
    /// | `api.llmgateway.io` | `x-session-id` | | none documented | **D** "Sessions" |
    /// | `*.api.baseten.co` | `x-baseten-session-id` | | none documented | **D**; must be enabled for the account |
    /// | `*.modal.run` | `modal-session-id` | | none documented | **D** "Sticky sessions"; the host **T** |
    /// | `api.openai.com`, paths `…/chat/completions` and `…/responses` | | `prompt_cache_key` | 64 | **D** "Prompt caching"; the limit **P** pi 4719 |
    /// | `api.openai.com`, any other path | | | | **D** |
    /// | `*.openai.azure.com`, `*.services.ai.azure.com` | | | | no header: **D**; the body field is in [`unconfirmed`](Self::unconfirmed) |
    /// | `api.cerebras.ai` | | | | **D** "no header modifications"; answers the body field with 422 (**P**) |
    /// | `api.groq.com`, `integrate.api.nvidia.com` | | | | no header documented; answer the body field with 400 (**P**) |
    /// | `api.anthropic.com`, `api.deepseek.com`, `api.kimi.com`, `api.moonshot.ai`, `api.together.xyz`, `api-inference.together.ai` | | | | no header documented (**U**) |
    ///
    /// A row applies to any port, and to `http` as well as `https`. Rows may change from one version to the next:
    /// `CHANGELOG.md` names each change.
    #[must_use]
    pub fn known() -> Self {
        KNOWN.clone()
    }

    /// Rows with weaker evidence, to add if you have verified them.
    ///
    /// | host | header | body field | limit | evidence |
    /// |---|---|---|---|---|
    /// | `aiplatform.googleapis.com` | `x-vertex-ai-session-id` | | none documented | **T** Claude on the global endpoint |
    /// | `api.deepinfra.com` | `x-session-affinity` | | none documented | **P** weave-os/router 275 |
    /// | `api.z.ai`, `open.bigmodel.cn` | `x-session-id` | | none documented | **T** openclaw 68079, "per support" |
    /// | `chatgpt.com` | `session-id` | | 64 | **P** lingtai 435; a UUID, and the same as the body's key |
    /// | `inference.baseten.co` | `x-baseten-session-id` | | none documented | **P** pi 9629 |
    /// | `*.api.openai.com` | | `prompt_cache_key` | 64 | **P** kimi-code, picoclaw, openclaw |
    /// | `*.openai.azure.com`, `*.services.ai.azure.com` | | `prompt_cache_key` | 64 | **D** for GPT-5.6 and later; other models answer 400 (**P**) |
    /// | `api.venice.ai`, path `…/chat/completions` | | `prompt_cache_key` | none documented | **P** rig's builder |
    ///
    /// The body fields apply to paths that end in `/chat/completions` or `/responses`.
    ///
    /// SageMaker is not a row, because a pattern cannot express its host,
    /// `runtime.sagemaker.<region>.amazonaws.com`. It reads `x-amzn-sagemaker-prefix-aware-id` of at most 64 characters (**D**) at endpoints with
    /// `RoutingStrategy=PREFIX_AWARE`, and the header must be there before the request is signed. Name your
    /// region's host in a row of your own.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::Destinations;
    ///
    /// let all = Destinations::known().with_all(Destinations::unconfirmed());
    /// let row = all.find(&"https://api.z.ai/api/paas/v4/chat/completions".parse()?);
    /// assert!(row.is_some());
    /// # Ok::<_, http::uri::InvalidUri>(())
    /// ```
    #[must_use]
    pub fn unconfirmed() -> Self {
        UNCONFIRMED.clone()
    }
}

fn valid<E: std::fmt::Display>(row: Result<Destination, E>) -> Destination {
    row.unwrap_or_else(|error| panic!("{error}"))
}

fn reads(host: &str, header_name: HeaderName) -> Destination {
    valid(Destination::header(host, header_name))
}

fn field(host: &str) -> Destination {
    valid(Destination::body_field(host, PROMPT_CACHE_KEY))
}

fn both(host: &str, header_name: HeaderName) -> Destination {
    valid(reads(host, header_name).with_body_field(PROMPT_CACHE_KEY))
}

fn nothing(host: &str) -> Destination {
    valid(Destination::none(host))
}

fn limited(row: Destination, bytes: usize) -> Destination {
    valid(row.max_len(bytes))
}

fn at(row: Destination, suffixes: &[&str]) -> Destination {
    valid(row.path_suffixes(suffixes.iter().copied()))
}

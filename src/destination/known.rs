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

impl Destinations {
    /// Returns the rows for the hosted providers that this version knows.
    ///
    /// A header or field is in the list if it is documented, or if the provider's own client sends it. The
    /// evidence is of November 2026. "Documented" means by the vendor's documentation or the project's own
    /// source. No limit is documented unless one is given.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_session_affinity::{Destination, Destinations};
    ///
    /// let known = Destinations::known();
    /// let row = known.find(&"https://api.mistral.ai/v1/chat/completions".parse()?);
    /// assert_eq!(row.and_then(Destination::header_name).unwrap(), "x-affinity");
    /// assert_eq!(row.and_then(Destination::body_field_name), Some("prompt_cache_key"));
    /// # Ok::<_, http::uri::InvalidUri>(())
    /// ```
    ///
    /// # Headers
    ///
    /// - `api.cloudflare.com`: `x-session-affinity`, documented (Workers AI, "Prompt caching")
    /// - `api.fireworks.ai`: `x-session-affinity`, documented; a dedicated deployment needs
    ///   `--enable-session-affinity`
    /// - `openrouter.ai`: `x-session-id`, at most 256 bytes, documented (API reference)
    /// - `api.x.ai`, except paths `…/responses`: `x-grok-conv-id`, documented ("Maximizing cache hits")
    /// - `api.mistral.ai`: `x-affinity`, sent by Mistral's own `mistral-vibe` (pull request or issue: zed 48584)
    /// - `opencode.ai`: `x-opencode-session`, documented (OpenCode's own client); required since September 2026
    /// - `api.llmgateway.io`: `x-session-id`, documented ("Sessions")
    /// - `*.api.baseten.co`: `x-baseten-session-id`, documented; must be enabled for the account
    /// - `*.modal.run`: `modal-session-id`, documented ("Sticky sessions"); the host by a third party only
    ///
    /// # Body fields
    ///
    /// The field is `prompt_cache_key`.
    ///
    /// - `api.openai.com`, paths `…/chat/completions` and `…/responses`: at most 64 bytes, documented ("Prompt
    ///   caching"; the limit by a pull request or issue: pi 4719)
    /// - `api.x.ai`, paths `…/responses`: documented ("Maximizing cache hits")
    /// - `api.mistral.ai`, paths `…/chat/completions`: documented ("Prompt caching")
    ///
    /// # Nothing
    ///
    /// - `api.openai.com`, any other path: documented
    /// - `*.openai.azure.com`, `*.services.ai.azure.com`: no header, documented; the body field is in
    ///   [`unconfirmed`](Self::unconfirmed)
    /// - `api.cerebras.ai`: documented ("no header modifications"); answers the body field with 422 (pull
    ///   request or issue)
    /// - `api.groq.com`, `integrate.api.nvidia.com`: no header documented; answer the body field with 400 (pull
    ///   request or issue)
    /// - `api.anthropic.com`, `api.deepseek.com`, `api.kimi.com`, `api.moonshot.ai`, `api.together.xyz`,
    ///   `api-inference.together.ai`: no header documented (unconfirmed)
    ///
    /// A row applies to every port, and to `http` as well as `https`. Rows may change with a version;
    /// `CHANGELOG.md` names each change.
    #[must_use]
    pub fn known() -> Self {
        KNOWN.clone()
    }

    /// Returns rows with weaker evidence, to add if you have seen that they hold.
    ///
    /// The evidence is of November 2026. No limit is documented unless one is given.
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
    ///
    /// # Headers
    ///
    /// - `aiplatform.googleapis.com`: `x-vertex-ai-session-id`, for Claude on the global endpoint (third party)
    /// - `api.deepinfra.com`: `x-session-affinity` (pull request or issue: weave-os/router 275)
    /// - `api.z.ai`, `open.bigmodel.cn`: `x-session-id` (third party: openclaw 68079, "per support")
    /// - `chatgpt.com`: `session-id`, at most 64 bytes; a UUID, and the same as the body's key (pull request or
    ///   issue: lingtai 435)
    /// - `inference.baseten.co`: `x-baseten-session-id` (pull request or issue: pi 9629)
    ///
    /// # Body fields
    ///
    /// The field is `prompt_cache_key`, for paths that end in `/chat/completions` or `/responses`.
    ///
    /// - `*.api.openai.com`: at most 64 bytes (pull request or issue: kimi-code, picoclaw, openclaw)
    /// - `*.openai.azure.com`, `*.services.ai.azure.com`: at most 64 bytes, documented for GPT-5.6 and later;
    ///   other models answer 400 (pull request or issue)
    /// - `api.venice.ai`, paths `…/chat/completions` only (pull request or issue: rig's builder)
    ///
    /// # SageMaker
    ///
    /// A pattern cannot name every region of SageMaker, so name your region's host in a row of your own.
    /// `runtime.sagemaker.<region>.amazonaws.com` reads `x-amzn-sagemaker-prefix-aware-id`, at most 64
    /// characters, at endpoints with `RoutingStrategy=PREFIX_AWARE` (documented). The header must be there
    /// before the request is signed.
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

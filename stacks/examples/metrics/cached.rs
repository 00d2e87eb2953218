//! The share of each prompt that came from the provider's cache.

use async_openai::types::chat::CompletionUsage;
use http::HeaderMap;
use tower_session_affinity::AffinityKey;

/// Reads the cached tokens and all tokens of a prompt from Fireworks' headers.
pub(crate) fn tokens_of_headers(headers: &HeaderMap) -> Option<(u32, u32)> {
    let tokens = |name| headers.get(name)?.to_str().ok()?.parse().ok();
    let cached = tokens("fireworks-cached-prompt-tokens")?;
    Some((cached, tokens("fireworks-prompt-tokens")?))
}

/// Reads them from the `usage` of a body that the application reads anyway.
pub(crate) fn tokens_of_usage(usage: &CompletionUsage) -> Option<(u32, u32)> {
    let details = usage.prompt_tokens_details.as_ref()?;
    Some((details.cached_tokens?, usage.prompt_tokens))
}

/// Records the cached share of one turn of a conversation, counted from 1.
pub(crate) fn record((cached, prompt): (u32, u32), route: &'static str, turn: usize) {
    const TURNS: [&str; 6] = ["0", "1", "2", "3", "4", "5+"];
    let turn = TURNS[turn.min(TURNS.len() - 1)];
    let with_key = AffinityKey::current().map_or("false", |_| "true");
    let share = f64::from(cached) / f64::from(prompt.max(1));
    let labels = [("route", route), ("turn", turn), ("with_key", with_key)];
    metrics::histogram!("prompt_cached_ratio", &labels).record(share);
}

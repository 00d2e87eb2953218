//! The prefix cache of a simulated replica.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;

use lru::LruCache;

/// The tokens per block, as in vLLM by default.
pub(crate) const BLOCK_TOKENS: usize = 16;

/// A bounded prefix cache of whole blocks with least-recently-used eviction.
///
/// The hash of a block covers its tokens and all before them, so that only prefixes match.
#[derive(Debug)]
pub(crate) struct PrefixCache {
    blocks: LruCache<u64, ()>,
}

impl PrefixCache {
    pub(crate) fn new(blocks: NonZeroUsize) -> Self {
        Self {
            blocks: LruCache::new(blocks),
        }
    }

    /// Returns how many tokens at the start of this prompt are cached.
    ///
    /// The last token of a prompt is always computed, since the first token of the answer depends on it.
    pub(crate) fn cached_tokens(&self, prompt: &[&str]) -> usize {
        let usable = &prompt[..prompt.len().saturating_sub(1)];
        let hit = |hash: &u64| self.blocks.contains(hash);
        BLOCK_TOKENS * block_hashes(usable).take_while(hit).count()
    }

    /// Stores the complete blocks of these tokens.
    pub(crate) fn insert(&mut self, tokens: &[&str]) {
        let hashes: Vec<_> = block_hashes(tokens).collect();
        // From end to start, so that the tail of a sequence is evicted before the blocks it depends on.
        for hash in hashes.into_iter().rev() {
            self.blocks.put(hash, ());
        }
    }
}

fn block_hashes(tokens: &[&str]) -> impl Iterator<Item = u64> {
    tokens
        .chunks_exact(BLOCK_TOKENS)
        .scan(0, |parent: &mut u64, block| {
            let mut hasher = DefaultHasher::new();
            (*parent, block).hash(&mut hasher);
            *parent = hasher.finish();
            Some(*parent)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(blocks: usize) -> PrefixCache {
        PrefixCache::new(NonZeroUsize::new(blocks).expect("not zero"))
    }

    #[test]
    fn only_complete_blocks_are_stored() {
        let mut cache = cache(100);
        cache.insert(&["a"; 40]);
        assert_eq!(cache.cached_tokens(&["a"; 41]), 32);
    }

    #[test]
    fn the_last_token_of_a_prompt_is_always_computed() {
        let mut cache = cache(100);
        cache.insert(&["a"; 32]);
        assert_eq!(cache.cached_tokens(&["a"; 32]), 16);
        assert_eq!(cache.cached_tokens(&["a"; 33]), 32);
        assert_eq!(cache.cached_tokens(&[]), 0);
    }

    #[test]
    fn equal_blocks_after_a_different_prefix_do_not_match() {
        let mut cache = cache(100);
        cache.insert(&[["a"; 16], ["b"; 16]].concat());
        assert_eq!(
            cache.cached_tokens(&[["a"; 16], ["b"; 16], ["c"; 16]].concat()),
            32
        );
        assert_eq!(
            cache.cached_tokens(&[["c"; 16], ["b"; 16], ["c"; 16]].concat()),
            0
        );
        assert_eq!(
            cache.cached_tokens(&[["a"; 16], ["c"; 16], ["b"; 16]].concat()),
            16
        );
    }

    #[test]
    fn the_least_recently_used_sequence_is_evicted_first_and_its_tail_before_its_head() {
        let mut cache = cache(4);
        cache.insert(&["a"; 32]);
        cache.insert(&["b"; 32]);
        cache.insert(&["a"; 32]);
        cache.insert(&["c"; 16]);
        assert_eq!(cache.cached_tokens(&["a"; 33]), 32);
        assert_eq!(cache.cached_tokens(&["b"; 33]), 16);
        assert_eq!(cache.cached_tokens(&["c"; 33]), 16);
    }

    #[test]
    fn the_cache_never_exceeds_its_bound() {
        let mut cache = cache(3);
        cache.insert(&["a"; 160]);
        assert_eq!(cache.blocks.len(), 3);
        assert_eq!(cache.cached_tokens(&["a"; 160]), 48);
    }
}

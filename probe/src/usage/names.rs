//! The names of token counts, in lower case and without `_` and `-`, the most common first.

pub(super) const PROMPT: [&str; 8] = [
    "prompttokens",
    "inputtokens",
    "prompttokencount",
    "inputtokencount",
    "promptevalcount",
    "uncachedinputtokens",
    "numprompttokens",
    "numinputtokens",
];
pub(super) const CACHED: [&str; 20] = [
    "cachedtokens",
    "promptcachehittokens",
    "cachedprompttokens",
    "promptcachedtokens",
    "cachedinputtokens",
    "inputcachedtokens",
    "cachedcontenttokencount",
    "promptevalcachedcount",
    "cachereadinputtokens",
    "cachereadinputtokencount",
    "cachereadtokens",
    "cachehittokens",
    "numcachedtokens",
    "cachedtokencount",
    "nativetokenscached",
    "cachetokens",
    "cacheread",
    "cachehit",
    "cachedinputtokencount",
    "cachen",
];
pub(super) const WRITTEN: [&str; 7] = [
    "cachecreationinputtokens",
    "cachewriteinputtokens",
    "cachewriteinputtokencount",
    "cachecreationtokens",
    "cachewritetokens",
    "cachecreation",
    "cachewrite",
];
pub(super) const MISSED: [&str; 2] = ["promptcachemisstokens", "cachemisstokens"];
pub(super) const OUTPUT: [&str; 5] = [
    "completiontokens",
    "outputtokens",
    "candidatestokencount",
    "outputtokencount",
    "evalcount",
];
pub(super) const TOTAL: [&str; 2] = ["totaltokens", "totaltokencount"];

/// Names of cached tokens that the prompt count excludes: Anthropic, Bedrock.
pub(super) const EXCLUDED: [&str; 2] = ["cachereadinputtokens", "cachereadinputtokencount"];

//! Whether an endpoint's prompt tokens include the cached tokens, decided over a whole run.
//!
//! With OpenAI and most others they do; with Anthropic, Bedrock and some proxies they do not. The names
//! of the fields usually tell. If the numbers contradict the names, the numbers decide.

use std::collections::BTreeMap;

use crate::measure::Record;
use crate::summary::Tokens;
use crate::usage::Usage;

/// The longest plausible prompt: a thousand times the longest context of any model.
const MOST_TOKENS: u64 = 1_000_000_000;

/// If more than one in this many answers has implausible counts, all counts are discarded.
const WRONG: usize = 10;

/// How the token counts of a run were interpreted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The prompt tokens exclude the cached tokens, which were added.
    pub(crate) excludes_cached: bool,
    /// Answers without a count of cached tokens, which count as zero.
    pub(crate) omitted: usize,
    /// Answers with impossible counts.
    pub(crate) misfits: usize,
    /// Too many counts are impossible for a verdict.
    pub(crate) is_misfit: bool,
}

/// Sets the tokens of every record.
pub(crate) fn count(records: &mut [Record]) -> Counted {
    let is_reported = records
        .iter()
        .any(|record| record.usage.cached_tokens.is_some());
    let excludes_cached = excludes_cached(records);
    let mut counted = Counted {
        excludes_cached,
        ..Counted::default()
    };
    for record in records.iter_mut() {
        let Some(prompt) = whole(&record.usage, excludes_cached) else {
            continue;
        };
        if prompt > MOST_TOKENS || record.usage.cached_tokens > Some(prompt) {
            counted.misfits += 1;
            continue;
        }
        record.prompt_tokens = Some(prompt);
        // vLLM, for one, omits the field if nothing was cached. If an endpoint never reports it, the
        // count is unknown.
        if is_reported && record.usage.cached_tokens.is_none() {
            counted.omitted += 1;
        }
        let cached = record.usage.cached_tokens.or(is_reported.then_some(0));
        record.tokens = cached.map(|cached| Tokens { prompt, cached });
    }
    counted.is_misfit = counted.misfits * WRONG > records.len();
    if counted.is_misfit {
        for record in records {
            (record.tokens, record.prompt_tokens) = (None, None);
        }
    }
    counted
}

/// Returns the length of a prompt. Zero means unknown, as some endpoints send it.
fn whole(usage: &Usage, excludes_cached: bool) -> Option<u64> {
    let parts = if excludes_cached {
        [usage.cached_tokens, usage.written_tokens]
    } else {
        [None; 2]
    };
    let parts = parts.into_iter().flatten().fold(0, u64::saturating_add);
    let whole = usage.prompt_tokens?.saturating_add(parts);
    (whole > 0).then_some(whole)
}

fn excludes_cached(records: &[Record]) -> bool {
    let usages = || records.iter().map(|record| &record.usage);
    if usages().any(|usage| usage.excludes_cached) {
        return true;
    }
    let cached = usages()
        .filter(|usage| usage.cached_tokens > Some(0))
        .count();
    let more_than_all = usages().filter(|usage| {
        let is_more = |(cached, prompt)| cached > prompt && cached <= MOST_TOKENS;
        usage
            .cached_tokens
            .zip(usage.prompt_tokens)
            .is_some_and(is_more)
    });
    more_than_all.count() * WRONG > cached
        || usages().any(adds_up)
        || shrinks(records, false) && !shrinks(records, true)
}

/// Whether the total only adds up if the cached tokens are counted on top of the prompt's.
fn adds_up(usage: &Usage) -> bool {
    let numbers = usage
        .total_tokens
        .zip(usage.output_tokens)
        .zip(usage.prompt_tokens);
    numbers.is_some_and(|((total, output), prompt)| {
        let rest = total.saturating_sub(output).saturating_sub(prompt);
        let cached = usage.cached_tokens.unwrap_or_default();
        let written = usage.written_tokens.unwrap_or_default();
        cached > 0 && (rest == cached || rest == cached.saturating_add(written))
    })
}

/// Whether most cached prompts are shorter than their predecessors, although conversations only grow.
fn shrinks(records: &[Record], excludes_cached: bool) -> bool {
    let mut longest: BTreeMap<_, u64> = BTreeMap::new();
    let (mut shorter, mut all) = (0, 0);
    let mut ordered: Vec<_> = records.iter().collect();
    ordered.sort_by_key(|record| record.turn);
    for record in ordered {
        let Some(prompt) = whole(&record.usage, excludes_cached) else {
            continue;
        };
        let before = longest
            .entry((record.concurrency, record.variant, record.conversation))
            .or_default();
        if record.turn > 1 && *before > 0 && record.usage.cached_tokens > Some(0) {
            all += 1;
            shorter += usize::from(prompt < *before);
        }
        *before = (*before).max(prompt);
    }
    2 * shorter > all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Record;

    /// Returns the records of one conversation with these prompt and cached tokens.
    fn records(usages: &[(u64, Option<u64>)]) -> Vec<Record> {
        let turns = (1..).zip(usages);
        turns
            .map(|(turn, (prompt, cached))| Record {
                usage: Usage {
                    prompt_tokens: Some(*prompt),
                    cached_tokens: *cached,
                    ..Usage::default()
                },
                ..Record::new(0, 1, turn)
            })
            .collect()
    }

    fn tokens(records: &[Record]) -> Vec<Option<(u64, u64)>> {
        let tokens = records.iter().map(|record| record.tokens);
        tokens
            .map(|tokens| tokens.map(|tokens| (tokens.prompt, tokens.cached)))
            .collect()
    }

    #[test]
    fn prompt_tokens_that_include_the_cached_tokens_are_kept() {
        let mut records = records(&[(1000, Some(0)), (1100, Some(900))]);
        assert!(!count(&mut records).excludes_cached);
        assert_eq!(tokens(&records), [Some((1000, 0)), Some((1100, 900))]);
    }

    #[test]
    fn the_field_names_decide_if_the_numbers_do_not() {
        let mut records = records(&[(1200, Some(0)), (1250, Some(600))]);
        for record in &mut records {
            record.usage.excludes_cached = true;
            record.usage.written_tokens = Some(50);
        }
        assert!(count(&mut records).excludes_cached);
        assert_eq!(tokens(&records), [Some((1250, 0)), Some((1900, 600))]);
    }

    #[test]
    fn more_cached_than_prompt_tokens_means_the_prompt_excludes_them() {
        let mut records = records(&[(1200, Some(0)), (100, Some(1100))]);
        assert!(count(&mut records).excludes_cached);
        assert_eq!(tokens(&records), [Some((1200, 0)), Some((1200, 1100))]);
    }

    #[test]
    fn a_prompt_that_shrinks_when_cached_excludes_the_cached_tokens() {
        let mut records = records(&[(1200, Some(0)), (700, Some(600)), (750, Some(700))]);
        assert!(count(&mut records).excludes_cached);
        assert_eq!(tokens(&records)[1], Some((1300, 600)));
    }

    #[test]
    fn a_total_above_prompt_and_answer_means_the_prompt_excludes_cached_tokens() {
        let mut records = records(&[(1200, Some(0)), (1250, Some(600))]);
        records[1].usage.output_tokens = Some(8);
        records[1].usage.total_tokens = Some(1858);
        assert!(count(&mut records).excludes_cached);
        records[1].usage.total_tokens = Some(1258);
        assert!(!count(&mut records).excludes_cached);
    }

    #[test]
    fn impossible_counts_are_reported_and_not_added_up() {
        let mut records = records(&[(u64::MAX, Some(u64::MAX)); 12]);
        let counted = count(&mut records);
        assert_eq!((counted.misfits, counted.is_misfit), (12, true));
        assert_eq!(tokens(&records), [None; 12]);
    }

    #[test]
    fn a_missing_count_is_zero_only_if_other_answers_report_one() {
        let mut some = records(&[(1000, None), (1100, Some(900))]);
        assert_eq!(count(&mut some).omitted, 1);
        assert_eq!(tokens(&some)[0], Some((1000, 0)));
        let mut none = records(&[(1000, None), (1100, None)]);
        assert_eq!(count(&mut none).omitted, 0);
        assert_eq!(tokens(&none), [None, None]);
        assert_eq!(
            none[1].prompt_tokens,
            Some(1100),
            "the prompt tokens are known even without cached tokens"
        );
    }

    #[test]
    fn a_prompt_of_zero_tokens_is_unknown() {
        let mut records = records(&[(0, Some(0)), (0, Some(0))]);
        count(&mut records);
        assert_eq!(tokens(&records), [None, None]);
    }
}

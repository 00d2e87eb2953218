//! The two ways of counting cached tokens, told apart by the numbers of a whole run.
//!
//! OpenAI and most others report the cached tokens as a part of the prompt's; Anthropic, Bedrock and
//! some proxies report them beside those. The names tell in most cases, and where the numbers
//! contradict the names, the numbers are right.

use std::collections::BTreeMap;

use crate::measure::Record;
use crate::summary::Tokens;
use crate::usage::Usage;

/// The longest prompt that is believed: a thousand times the longest context of any model.
const MOST_TOKENS: u64 = 1_000_000_000;

/// The part of the answers whose numbers may be wrong before none of them is believed: one in this many.
const WRONG: usize = 10;

/// What was made of the numbers of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The cached tokens were not a part of the prompt's, and were added.
    pub(crate) is_apart: bool,
    /// Answers that left the cached tokens out, which then count as none.
    pub(crate) omitted: usize,
    /// Answers whose numbers do not fit together.
    pub(crate) misfits: usize,
    /// So many of them that nothing can be said.
    pub(crate) is_misfit: bool,
}

/// Works out the tokens of every record.
pub(crate) fn count(records: &mut [Record]) -> Counted {
    let is_reported = records
        .iter()
        .any(|record| record.usage.cached_tokens.is_some());
    let is_apart = is_apart(records);
    let mut counted = Counted {
        is_apart,
        ..Counted::default()
    };
    for record in records.iter_mut() {
        let Some(prompt) = whole(&record.usage, is_apart) else {
            continue;
        };
        if prompt > MOST_TOKENS || record.usage.cached_tokens > Some(prompt) {
            counted.misfits += 1;
            continue;
        }
        record.prompt_tokens = Some(prompt);
        // vLLM, for one, leaves the field out where nothing was cached. An endpoint that never
        // reports it is another matter: there nothing is known.
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

/// Returns the length of a prompt. Zero is what some endpoints send for a number that they do not know.
fn whole(usage: &Usage, is_apart: bool) -> Option<u64> {
    let parts = if is_apart {
        [usage.cached_tokens, usage.written_tokens]
    } else {
        [None; 2]
    };
    let parts = parts.into_iter().flatten().fold(0, u64::saturating_add);
    let whole = usage.prompt_tokens?.saturating_add(parts);
    (whole > 0).then_some(whole)
}

fn is_apart(records: &[Record]) -> bool {
    let usages = || records.iter().map(|record| &record.usage);
    if usages().any(|usage| usage.is_apart) {
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

/// Whether the total is only reached with the cached tokens on top.
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

/// Whether most conversations that were cached became shorter, which none does.
fn shrinks(records: &[Record], is_apart: bool) -> bool {
    let mut longest: BTreeMap<_, u64> = BTreeMap::new();
    let (mut shorter, mut all) = (0, 0);
    let mut ordered: Vec<_> = records.iter().collect();
    ordered.sort_by_key(|record| record.turn);
    for record in ordered {
        let Some(prompt) = whole(&record.usage, is_apart) else {
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

    /// One conversation, of these prompts and cached tokens.
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
    fn cached_tokens_that_are_a_part_of_the_prompt_stay_one() {
        let mut records = records(&[(1000, Some(0)), (1100, Some(900))]);
        assert!(!count(&mut records).is_apart);
        assert_eq!(tokens(&records), [Some((1000, 0)), Some((1100, 900))]);
    }

    #[test]
    fn the_names_tell_where_the_numbers_do_not() {
        let mut records = records(&[(1200, Some(0)), (1250, Some(600))]);
        for record in &mut records {
            record.usage.is_apart = true;
            record.usage.written_tokens = Some(50);
        }
        assert!(count(&mut records).is_apart);
        assert_eq!(tokens(&records), [Some((1250, 0)), Some((1900, 600))]);
    }

    #[test]
    fn more_cached_tokens_than_prompt_tokens_were_counted_apart() {
        let mut records = records(&[(1200, Some(0)), (100, Some(1100))]);
        assert!(count(&mut records).is_apart);
        assert_eq!(tokens(&records), [Some((1200, 0)), Some((1200, 1100))]);
    }

    #[test]
    fn a_prompt_that_shrinks_as_it_is_cached_was_counted_apart() {
        let mut records = records(&[(1200, Some(0)), (700, Some(600)), (750, Some(700))]);
        assert!(count(&mut records).is_apart);
        assert_eq!(tokens(&records)[1], Some((1300, 600)));
    }

    #[test]
    fn a_total_that_holds_the_cached_tokens_too_shows_that_they_are_apart() {
        let mut records = records(&[(1200, Some(0)), (1250, Some(600))]);
        records[1].usage.output_tokens = Some(8);
        records[1].usage.total_tokens = Some(1858);
        assert!(count(&mut records).is_apart);
        records[1].usage.total_tokens = Some(1258);
        assert!(!count(&mut records).is_apart);
    }

    #[test]
    fn numbers_that_no_prompt_has_are_told_and_not_added_up() {
        let mut records = records(&[(u64::MAX, Some(u64::MAX)); 12]);
        let counted = count(&mut records);
        assert_eq!((counted.misfits, counted.is_misfit), (12, true));
        assert_eq!(tokens(&records), [None; 12]);
    }

    #[test]
    fn what_is_left_out_counts_as_none_only_where_it_is_reported_elsewhere() {
        let mut some = records(&[(1000, None), (1100, Some(900))]);
        assert_eq!(count(&mut some).omitted, 1);
        assert_eq!(tokens(&some)[0], Some((1000, 0)));
        let mut none = records(&[(1000, None), (1100, None)]);
        assert_eq!(count(&mut none).omitted, 0);
        assert_eq!(tokens(&none), [None, None]);
        assert_eq!(
            none[1].prompt_tokens,
            Some(1100),
            "and the prompt is known all the same"
        );
    }

    #[test]
    fn a_prompt_of_no_tokens_is_not_known() {
        let mut records = records(&[(0, Some(0)), (0, Some(0))]);
        count(&mut records);
        assert_eq!(tokens(&records), [None, None]);
    }
}

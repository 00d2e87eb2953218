//! The cost of the prompts.

use std::collections::HashSet;

use crate::args::Args;
use crate::measure::Record;
use crate::summary::Summary;

/// Prices of a million prompt tokens, in any currency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prices {
    input: f64,
    cached: f64,
}

impl Prices {
    pub(crate) fn new(args: &Args) -> Option<Self> {
        let (input, cached) = args.price_input.zip(args.price_cached)?;
        Some(Self { input, cached })
    }

    /// Sets the prompt cost of a thousand conversations in each variant.
    #[expect(
        clippy::cast_precision_loss,
        reason = "token counts are far below 2^52"
    )]
    pub(crate) fn apply(self, summaries: &mut [Summary], records: &[Record]) {
        for summary in summaries {
            let known = records
                .iter()
                .filter(|record| record.variant == summary.variant && record.tokens.is_some());
            let conversations: HashSet<_> = known.map(|record| record.conversation).collect();
            if conversations.is_empty() {
                continue;
            }
            let computed = (summary.tokens.prompt - summary.tokens.cached) as f64;
            let cached = summary.tokens.cached as f64;
            let cost = (computed * self.input + cached * self.cached) / 1e6;
            summary.cost_of_1000_conversations = Some(1000.0 * cost / conversations.len() as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::summary::Tokens;
    use crate::variant::{Carrier, Variants};

    #[test]
    fn the_cost_is_that_of_the_tokens_of_a_thousand_conversations() {
        let record = |conversation, turn, cached| Record {
            tokens: Some(Tokens {
                prompt: 1000,
                cached,
            }),
            ..Record::new(0, conversation, turn)
        };
        let records = [
            record(1, 1, 0),
            record(1, 2, 500),
            record(2, 1, 0),
            record(2, 2, 500),
        ];
        let variants = Variants::new([Carrier::Header(HeaderName::from_static("a"))]);
        let mut summaries = Summary::all(&variants, &records);
        Prices {
            input: 3.0,
            cached: 0.3,
        }
        .apply(&mut summaries, &records);
        // Each conversation has 1,500 tokens at 3 per million and 500 at 0.3.
        let cost = summaries[0].cost_of_1000_conversations.expect("known");
        assert!((cost - 4.65).abs() < 1e-9, "{cost}");
        assert_eq!(
            summaries[1].cost_of_1000_conversations, None,
            "a variant without measurements has no cost"
        );
    }
}

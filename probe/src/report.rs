//! The table and the verdict, as text.

use std::fmt::{self, Display};

use crate::run::Ended;
use crate::summary::{Summary, Tokens, Ttft};
use crate::verdict::Verdict;

/// All that a run is told by; `Display` is the report.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// What was measured, in a line or two.
    pub(crate) subject: &'a str,
    pub(crate) arms: &'a [Summary; 2],
    pub(crate) verdict: &'a Verdict,
    pub(crate) ended: &'a Ended,
    /// Requests whose cached tokens were left out and counted as none.
    pub(crate) omitted: usize,
}

impl Report<'_> {
    /// Returns the rows of the table: a name, and a cell for each arm.
    fn rows(&self) -> Vec<(&'static str, [String; 2])> {
        let row = |name, cell: fn(&Summary) -> String| (name, self.arms.each_ref().map(cell));
        vec![
            row("prompt from cache", |arm| share(arm.tokens)),
            row("  from turn 2 on", |arm| share(arm.tokens_from_turn_2)),
            row("  prompt tokens", |arm| grouped(arm.tokens.prompt)),
            row("  of these from cache", |arm| grouped(arm.tokens.cached)),
            row("time to first token, p50", |arm| {
                ms(arm.ttft_ms, |ttft| ttft.p50)
            }),
            row("  p90", |arm| ms(arm.ttft_ms, |ttft| ttft.p90)),
            row("  p99", |arm| ms(arm.ttft_ms, |ttft| ttft.p99)),
            row("  from turn 2 on, p50", |arm| {
                ms(arm.ttft_ms_from_turn_2, |ttft| ttft.p50)
            }),
            row("requests", |arm| arm.requests.to_string()),
            row("  failed", |arm| arm.failures.to_string()),
            row("replicas per conversation", |arm| {
                arm.replicas_per_conversation
                    .map_or_else(unknown, |mean| format!("{mean:.1}"))
            }),
        ]
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.subject)?;
        let [without, with] = self.arms.each_ref().map(|arm| arm.arm.name());
        writeln!(f, "{:27}{without:>13}{with:>13}", "")?;
        for (name, [without, with]) in self.rows() {
            writeln!(f, "{name:27}{without:>13}{with:>13}")?;
        }
        if self.omitted > 0 {
            writeln!(
                f,
                "\n{} answers left the cached tokens out and were counted as 0.",
                self.omitted
            )?;
        }
        if *self.ended != Ended::Complete {
            writeln!(
                f,
                "\nThe run was not completed; this is what was measured until then."
            )?;
        }
        writeln!(f, "\n{}", self.verdict.sentence)?;
        writeln!(f, "({})", self.verdict.test)
    }
}

fn unknown() -> String {
    "–".to_owned()
}

fn share(tokens: Tokens) -> String {
    tokens
        .share()
        .map_or_else(unknown, |share| format!("{:.1} %", 100.0 * share))
}

fn ms(ttft: Option<Ttft>, value: fn(Ttft) -> f64) -> String {
    ttft.map_or_else(unknown, |ttft| format!("{:.0} ms", value(ttft)))
}

/// Writes a number with a comma between each three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let texts = [0, 999, 1000, 123_456, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "123,456", "1,234,567"]);
    }
}

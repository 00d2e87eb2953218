//! The report: the table and the verdict, as text.

mod chart;
mod json;
mod markdown;
mod sweep;
mod table;

use std::fmt::{self, Display};

use crate::counting::Counted;
use crate::run::Ended;
use crate::summary::{Summary, Tokens, Ttft};
use crate::verdict::{Finding, Verdict};
use table::{Table, wrapped};

pub(crate) use chart::draw;
pub(crate) use json::{Document, document};
pub(crate) use markdown::document as markdown;
pub(crate) use sweep::{Level, Sweep};

/// The width of a table if there is no terminal.
const WIDE: usize = 106;

/// The contents of a report; `Display` writes it.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// What was measured, in a few lines.
    pub(crate) subject: &'a str,
    pub(crate) summaries: &'a [Summary],
    pub(crate) verdict: &'a Verdict,
    /// The results at each concurrency, if several were measured.
    pub(crate) sweep: Option<&'a Sweep>,
    pub(crate) ended: &'a Ended,
    pub(crate) counted: Counted,
    /// The width of the terminal, if there is one.
    pub(crate) width: Option<usize>,
}

impl Report<'_> {
    fn table(&self) -> Table {
        let is_known = self
            .summaries
            .iter()
            .any(|summary| summary.tokens.prompt > 0);
        let row = |name: &str, cell: &dyn Fn(&Summary) -> String| {
            (
                name.to_owned(),
                self.summaries.iter().map(cell).collect::<Vec<_>>(),
            )
        };
        let ttft = |value: fn(Ttft) -> f64| move |summary: &Summary| ms(summary.ttft_ms, value);
        let mut rows = vec![
            row("prompt tokens from cache", &|summary| share(summary.tokens)),
            row("  from turn 2 on", &|summary| {
                share(summary.tokens_from_turn_2)
            }),
            row("prompt tokens", &|summary| known(summary.prompt_tokens)),
            row("  from cache", &|summary| {
                if is_known {
                    grouped(summary.tokens.cached)
                } else {
                    unknown()
                }
            }),
            row("time to first token, median", &ttft(|ttft| ttft.p50)),
            row("  90th percentile", &ttft(|ttft| ttft.p90)),
            row("  99th percentile", &ttft(|ttft| ttft.p99)),
            row("  median from turn 2 on", &|summary| {
                ms(summary.ttft_ms_from_turn_2, |ttft| ttft.p50)
            }),
            row("requests", &|summary| summary.requests.to_string()),
            row("  failed", &|summary| summary.failures.to_string()),
            row("replicas per conversation", &|summary| {
                summary
                    .replicas_per_conversation
                    .map_or_else(unknown, |mean| format!("{mean:.1}"))
            }),
        ];
        if self
            .summaries
            .iter()
            .any(|summary| summary.cost_of_1000_conversations.is_some())
        {
            rows.push(row("prompt cost of 1,000 chats", &|summary| {
                summary
                    .cost_of_1000_conversations
                    .map_or_else(unknown, |cost| format!("{cost:.2}"))
            }));
        }
        if self.verdict.variants.len() > 1 {
            rows.push(row("finding", &|summary| {
                let judged = self
                    .verdict
                    .variants
                    .iter()
                    .find(|judged| judged.variant == summary.variant);
                judged.map_or_else(String::new, |judged| finding(judged.finding).to_owned())
            }));
        }
        Table {
            headings: self
                .summaries
                .iter()
                .map(|summary| summary.name.clone())
                .collect(),
            rows,
        }
    }

    /// Returns the line that a reader looks for.
    fn headline(&self) -> String {
        format!("Verdict: {}", self.verdict.sentence)
    }

    /// Returns remarks on how the token counts were interpreted.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.counted.omitted > 0 {
            notes.push(format!(
                "{} answers did not report cached tokens and were counted as 0.",
                self.counted.omitted
            ));
        }
        if self.counted.excludes_cached {
            notes.push(
                "The endpoint's prompt tokens exclude the cached ones; the two are added here."
                    .to_owned(),
            );
        }
        if self.counted.misfits > 0 {
            notes.push(format!(
                "{} answers reported impossible token counts and were left out.",
                self.counted.misfits
            ));
        }
        notes
    }
}

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.width.unwrap_or(WIDE);
        // Without a terminal, each sentence is on one line, so that it is easy to search for.
        let text = |text: &str| {
            self.width
                .map_or_else(|| text.to_owned(), |width| wrapped(text, width))
        };
        for line in self.subject.lines() {
            writeln!(f, "{}", text(line))?;
        }
        writeln!(f)?;
        self.table().write(f, width)?;
        for note in self.notes() {
            writeln!(f, "\n{}", text(&note))?;
        }
        if *self.ended != Ended::Complete {
            writeln!(
                f,
                "\n{}",
                text("The run did not complete; these are the results until then.")
            )?;
        }
        if let Some(sweep) = self.sweep {
            writeln!(f)?;
            sweep.table().write(f, width)?;
            writeln!(f, "\n{}", text(&sweep.sentence))?;
        }
        writeln!(f, "\n{}", text(&self.headline()))?;
        if self.verdict.test.is_empty() {
            return Ok(());
        }
        writeln!(f, "{}", text(&format!("({})", self.verdict.test)))
    }
}

const fn finding(finding: Finding) -> &'static str {
    match finding {
        Finding::Honored => "honored",
        Finding::Ignored => "ignored",
        Finding::NotNeeded => "not needed",
        Finding::NotCached => "not cached",
        Finding::Harmful => "harmful",
        Finding::Refused => "refused",
        Finding::Inconclusive => "inconclusive",
    }
}

fn unknown() -> String {
    "–".to_owned()
}

fn known(tokens: u64) -> String {
    if tokens == 0 {
        unknown()
    } else {
        grouped(tokens)
    }
}

fn share(tokens: Tokens) -> String {
    tokens
        .share()
        .map_or_else(unknown, |share| format!("{:.1} %", 100.0 * share))
}

fn ms(ttft: Option<Ttft>, value: impl Fn(Ttft) -> f64) -> String {
    ttft.map_or_else(unknown, |ttft| format!("{:.0} ms", value(ttft)))
}

/// Writes a number with thousands separators.
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
    fn thousands_are_separated_by_commas() {
        let texts = [0, 999, 1000, 123_456, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "123,456", "1,234,567"]);
    }
}

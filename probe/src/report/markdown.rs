//! The report as Markdown, for the summary of a CI job.

use super::Report;
use crate::run::Ended;

const INTERRUPTED: &str = "The run was interrupted; these are the results until then.";

/// Writes the report as Markdown.
pub(crate) fn document(report: &Report<'_>) -> String {
    let mut paragraphs = vec![
        "## affinity-probe".to_owned(),
        format!("**{}**", escaped(&report.headline())),
    ];
    match report.ended {
        Ended::Complete => {}
        Ended::Interrupted => paragraphs.push(INTERRUPTED.to_owned()),
        Ended::Failed(failure) => {
            paragraphs.push("The run failed:".to_owned());
            paragraphs.push(quoted(&failure.to_string()));
        }
    }
    paragraphs.push(escaped(report.subject).replace('\n', "  \n"));
    paragraphs.push(report.table().markdown());
    paragraphs.extend(report.notes().iter().map(|note| escaped(note)));
    if let Some(sweep) = report.sweep {
        paragraphs.push(sweep.table().markdown());
        paragraphs.push(escaped(&sweep.sentence));
    }
    if !report.verdict.test.is_empty() {
        paragraphs.push(format!("<sub>{}</sub>", escaped(&report.verdict.test)));
    }
    paragraphs.join("\n\n") + "\n"
}

/// Escapes the characters that have a meaning in Markdown.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped += "&lt;",
            '&' => escaped += "&amp;",
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(c);
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Writes a text as an indented code block, which nothing in the text can end.
fn quoted(text: &str) -> String {
    let lines = text.lines().map(|line| format!("    {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_in_a_text_is_escaped() {
        assert_eq!(
            escaped("a|b <img> prompt_cache_key"),
            "a\\|b &lt;img> prompt\\_cache\\_key"
        );
        assert_eq!(quoted("```\n# no"), "    ```\n    # no");
    }
}

//! The result as Markdown, for the summary of a CI job.

use super::Report;
use crate::run::Ended;

/// Writes the report as Markdown.
pub(crate) fn document(report: &Report<'_>) -> String {
    let mut text = format!(
        "## affinity-probe\n\n**{}**\n",
        escaped(&report.verdict.sentence)
    );
    if let Ended::Failed(failure) = report.ended {
        text += &format!("\nThe run failed:\n\n{}\n", quoted(&failure.to_string()));
    } else if *report.ended == Ended::Interrupted {
        text += "\nThe run was interrupted.\n";
    }
    text += &format!("\n{}\n", escaped(report.subject).replace('\n', "  \n"));
    text += &format!("\n{}", report.table().markdown());
    for note in report.notes() {
        text += &format!("\n{}\n", escaped(&note));
    }
    if let Some(sweep) = report.sweep {
        text += &format!(
            "\n{}\n{}\n",
            sweep.table().markdown(),
            escaped(&sweep.sentence)
        );
    }
    if !report.verdict.test.is_empty() {
        text += &format!("\n<sub>{}</sub>\n", escaped(&report.verdict.test));
    }
    text
}

/// Takes the meaning from what Markdown would read as its own.
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

/// Writes a text from outside as a block of code, which nothing in it ends.
fn quoted(text: &str) -> String {
    let lines = text.lines().map(|line| format!("    {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_read_as_markdown() {
        assert_eq!(
            escaped("a|b <img> prompt_cache_key"),
            "a\\|b &lt;img> prompt\\_cache\\_key"
        );
        assert_eq!(quoted("```\n# no"), "    ```\n    # no");
    }
}

//! A text table that fits the width of the terminal.

use std::fmt::{self, Write};

use super::markdown::escaped;

/// The width of the first column, and of each other one.
const FIRST: usize = 28;
const OTHERS: usize = 13;

/// The headings of the columns, and rows of a name and a cell per column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) headings: Vec<String>,
    pub(crate) rows: Vec<(String, Vec<String>)>,
}

impl Table {
    /// Writes the table in blocks that fit the width. Each block repeats the first column, which the others
    /// are compared with.
    pub(super) fn write(&self, f: &mut impl Write, width: usize) -> fmt::Result {
        let fitting = (width.saturating_sub(FIRST) / OTHERS).max(2);
        let columns: Vec<usize> = (1..self.headings.len()).collect();
        for (index, block) in columns.chunks(fitting - 1).enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let shown: Vec<usize> = [0].iter().chain(block).copied().collect();
            self.write_headings(f, &shown)?;
            for (name, cells) in &self.rows {
                if cells.is_empty() {
                    writeln!(f, "{name}")?;
                    continue;
                }
                write!(f, "{name:FIRST$}")?;
                for column in &shown {
                    write!(
                        f,
                        "{:>OTHERS$}",
                        cells.get(*column).map_or("", String::as_str)
                    )?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }

    fn write_headings(&self, f: &mut impl Write, columns: &[usize]) -> fmt::Result {
        let headings: Vec<_> = columns
            .iter()
            .map(|column| folded(&self.headings[*column]))
            .collect();
        let lines = headings.iter().map(Vec::len).max().unwrap_or_default();
        for line in 0..lines {
            write!(f, "{:FIRST$}", "")?;
            for heading in &headings {
                // Align them at the bottom.
                let at = (line + heading.len()).checked_sub(lines);
                write!(f, "{:>OTHERS$}", at.map_or("", |at| heading[at].as_str()))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    /// Writes the table as Markdown.
    pub(super) fn markdown(&self) -> String {
        let row = |name: &str, cells: &[String]| {
            let cells = cells.iter().map(|cell| escaped(cell));
            // Markdown trims white space, which marks a row as a part of the one above.
            let name = match name.strip_prefix("  ") {
                Some(part) => format!("&emsp;{}", escaped(part)),
                None => escaped(name),
            };
            let cells: Vec<_> = std::iter::once(name).chain(cells).collect();
            format!("| {} |", cells.join(" | "))
        };
        let mut lines = vec![
            row("", &self.headings),
            format!("|---|{}", "--:|".repeat(self.headings.len())),
        ];
        for (name, cells) in &self.rows {
            // A heading row has no cells of its own.
            let mut cells = cells.clone();
            cells.resize(self.headings.len(), String::new());
            lines.push(row(name, &cells));
        }
        lines.join("\n")
    }
}

/// Breaks a heading into lines that fit its column, after hyphens if possible.
fn folded(heading: &str) -> Vec<String> {
    if heading.len() < OTHERS {
        return vec![heading.to_owned()];
    }
    let mut lines = vec![String::new()];
    for part in heading.split_inclusive(['-', '_', ' ']) {
        for piece in part.as_bytes().chunks(OTHERS - 1) {
            let piece = String::from_utf8_lossy(piece);
            let last = lines.last_mut().expect("there is a line");
            if last.len() + piece.len() < OTHERS {
                *last += &piece;
            } else {
                lines.push(piece.into_owned());
            }
        }
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// Wraps a text between words.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in text.split(' ') {
        let word_length = word.chars().count();
        if length > 0 && length + 1 + word_length > width {
            lines.push('\n');
            length = 0;
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines += word;
        length += word_length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> Table {
        Table {
            headings: names.iter().map(|name| (*name).to_owned()).collect(),
            rows: vec![(
                "requests".to_owned(),
                (0..names.len()).map(|n| n.to_string()).collect(),
            )],
        }
    }

    fn text(names: &[&str], width: usize) -> String {
        let mut text = String::new();
        table(names).write(&mut text, width).expect("text");
        text
    }

    #[test]
    fn short_headings_take_one_line() {
        let expected = "                              without key     with key\n\
                        requests                                0            1\n";
        assert_eq!(text(&["without key", "with key"], 80), expected);
    }

    #[test]
    fn a_long_heading_breaks_after_its_hyphens() {
        let expected = "                                            x-session-\n\
                        \u{20}                             without key     affinity\n\
                        requests                                0            1\n";
        assert_eq!(text(&["without key", "x-session-affinity"], 80), expected);
    }

    #[test]
    fn columns_that_do_not_fit_go_into_blocks_that_repeat_the_first() {
        let names = ["without key", "a", "b", "c", "d", "e"];
        for width in [54, 80, 120] {
            let text = text(&names, width);
            assert!(
                text.lines().all(|line| line.chars().count() <= width),
                "{text}"
            );
        }
        assert_eq!(text(&names, 80).matches("without key").count(), 2);
        assert_eq!(text(&names, 120).matches("without key").count(), 1);
    }

    #[test]
    fn markdown_keeps_the_indentation_of_rows() {
        let mut table = table(&["with_key"]);
        table
            .rows
            .push(("  failed".to_owned(), vec!["1".to_owned()]));
        let expected = "|  | with\\_key |\n|---|--:|\n| requests | 0 |\n| &emsp;failed | 1 |";
        assert_eq!(table.markdown(), expected);
    }

    #[test]
    fn text_wraps_between_words() {
        assert_eq!(wrapped("one two three", 7), "one two\nthree");
        assert_eq!(wrapped("one", 2), "one");
    }
}

//! The tables of `docs/redirects.md`: what each origin receives.

use std::fmt::Write as _;

use crate::case::{Case, Hops, Place};
use crate::origin::{Origin, origins};
use crate::{Received, Result};

const DOCUMENT: &str = include_str!("../../docs/redirects.md");

/// What arrives at the first origin, at the other one, and at the first one again.
type Cells = [String; 3];

/// A line of a table, with every key that it is true of.
struct Line {
    keys: Vec<String>,
    only_hosts: &'static str,
    cells: Cells,
}

#[derive(Default)]
struct Table(Vec<Line>);

impl Table {
    async fn of(place: Place, first: &Origin, second: &Origin) -> Result<Self> {
        let mut table = Self::default();
        let cases: Vec<_> = Case::all().filter(|case| case.place == place).collect();
        // Of each key: both policies, and of each policy without `.only_hosts` and with it.
        for cases in cases.chunks(4) {
            let mut cells = Vec::new();
            for case in cases {
                cells.push(show(&case.hops(first, second).await?));
            }
            let (key, (keep, replace)) = (cases[0].from, cells.split_at(2));
            if keep == replace {
                table.add(&key.to_string(), keep);
            } else {
                table.add(&format!("{key} under `Keep`"), keep);
                table.add(&format!("{key} under `Replace`"), replace);
            }
        }
        Ok(table)
    }

    fn add(&mut self, key: &str, cells: &[Cells]) {
        if cells[0] == cells[1] {
            self.add_line(key, "either", &cells[0]);
        } else {
            self.add_line(key, "no", &cells[0]);
            self.add_line(key, "yes", &cells[1]);
        }
    }

    fn add_line(&mut self, key: &str, only_hosts: &'static str, cells: &Cells) {
        let lines = &mut self.0;
        let known = lines
            .iter_mut()
            .find(|line| line.only_hosts == only_hosts && line.cells == *cells);
        match known {
            Some(line) => line.keys.push(key.to_owned()),
            None => lines.push(Line {
                keys: vec![key.to_owned()],
                only_hosts,
                cells: cells.clone(),
            }),
        }
    }

    fn show(&self) -> Result<String> {
        let mut text = String::from(
            "| the key | `.only_hosts` | first origin | other origin | first origin again |\n\
             |---|---|---|---|---|\n",
        );
        for line in &self.0 {
            let (keys, cells) = (line.keys.join(", "), line.cells.join(" | "));
            writeln!(text, "| {keys} | {} | {cells} |", line.only_hosts)?;
        }
        Ok(text)
    }
}

fn show(hops: &Hops) -> Cells {
    [
        show_values(&hops.first),
        show_versions(&hops.other),
        show_versions(&hops.same),
    ]
}

/// Shows what arrives with tower-http 0.7, and with 0.6 if that is different.
fn show_versions([v07, v06]: &[Received; 2]) -> String {
    let text = show_values(v07);
    if v07 == v06 {
        text
    } else {
        format!("{text} (0.6: {})", show_values(v06))
    }
}

fn show_values(received: &Received) -> String {
    match received.as_slice() {
        [] => "–".to_owned(),
        values => format!("`{}`", values.join("` and `")),
    }
}

#[tokio::test]
async fn the_document_states_what_each_origin_receives() -> Result<()> {
    let (first, second) = origins().await?;
    for place in [Place::Inside, Place::Outside] {
        let table = Table::of(place, &first, &second).await?.show()?;
        assert!(
            DOCUMENT.contains(&table),
            "docs/redirects.md does not have this table for a layer {place:?}:\n{table}"
        );
    }
    Ok(())
}

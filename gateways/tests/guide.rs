//! What the guide page `docs/gateways.md` shows is what the tests run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gateways::{Setup, launch};

const PAGE: &str = include_str!("../../docs/gateways.md");

const CONFIGURATIONS: [&str; 9] = [
    "gateways/Caddyfile",
    "gateways/envoy-maglev.yaml",
    "gateways/envoy-ring-hash.yaml",
    "gateways/haproxy.cfg",
    "gateways/kubernetes/envoy-gateway.yaml",
    "gateways/kubernetes/llm-d.yaml",
    "gateways/kubernetes/session-persistence.yaml",
    "gateways/nginx.conf",
    "gateways/pingora/src/affinity.rs",
];

/// A fenced block of the page, and the paragraph before it.
struct Block {
    language: &'static str,
    paragraph: String,
    lines: Vec<&'static str>,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut paragraph, mut is_open) = (String::new(), true);
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let lines = lines.by_ref().take_while(|line| *line != "```").collect();
            let paragraph = std::mem::take(&mut paragraph);
            blocks.push(Block {
                language,
                paragraph,
                lines,
            });
        } else if line.is_empty() {
            is_open = false;
        } else {
            if !is_open {
                paragraph.clear();
            }
            is_open = true;
            paragraph += line;
        }
    }
    blocks
}

impl Block {
    /// Commands, diagrams and doctests do not come from a configuration file.
    fn is_configuration(&self) -> bool {
        !["rust", "sh", "text"].contains(&self.language)
    }

    /// Returns the file that the paragraph before the block names.
    fn file(&self) -> Option<&str> {
        let mut spans = self.paragraph.split('`').skip(1).step_by(2);
        spans.find(|span| span.starts_with("gateways/"))
    }

    fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// Removes the indentation that all lines share.
fn dedent<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let indentation = |line: &&str| line.len() - line.trim_start().len();
    let lines_with_text = lines.iter().filter(|line| !line.trim().is_empty());
    let shared = lines_with_text.map(indentation).min().unwrap_or_default();
    lines
        .iter()
        .map(|line| line.get(shared..).unwrap_or_default())
        .collect()
}

#[test]
fn every_configuration_block_occurs_in_the_file_that_its_paragraph_names() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = BTreeSet::new();
    for block in blocks().into_iter().filter(Block::is_configuration) {
        let text = block.text();
        let file = block.file().unwrap_or_else(|| {
            panic!("the paragraph before this block names no file under gateways/:\n{text}")
        });
        let published = fs::read_to_string(workspace.join(file))
            .unwrap_or_else(|error| panic!("{file} cannot be read: {error}"));
        let published: Vec<_> = published.lines().collect();
        let expected = dedent(&block.lines);
        let mut windows = published.windows(block.lines.len());
        assert!(
            windows.any(|window| dedent(window) == expected),
            "{file} does not contain this block of docs/gateways.md:\n{text}"
        );
        files.insert(file.to_owned());
    }
    let expected = CONFIGURATIONS.map(str::to_owned).into();
    assert_eq!(files, expected, "files that the page shows, files expected");
}

/// The page ends with the chart as an HTML block, which Markdown would end at a blank line.
#[test]
fn the_chart_is_one_html_block_at_the_end_of_the_page() {
    let chart = include_str!("../../docs/engine.svg");
    let end = "(`docs/engine.svg`):\n";
    assert!(
        PAGE.ends_with(end),
        "docs/gateways.md does not end with: {end}"
    );
    assert!(chart.starts_with("<svg "), "the chart is not an HTML block");
    assert!(
        !chart.contains("\n\n"),
        "a blank line would end the HTML block"
    );
}

#[test]
fn the_commands_for_smg_and_vllm_router_are_those_that_the_tests_run() {
    let setup = Setup {
        listen: "127.0.0.1:18085".parse().unwrap(),
        metrics: "127.0.0.1:0".parse().unwrap(),
        replicas: (19001..=19004)
            .map(|port| ([127, 0, 0, 1], port).into())
            .collect(),
        folder: PathBuf::new(),
    };
    let smg = launch::smg_by_session_affinity(Path::new("smg"), &setup);
    assert_shown(&smg);

    let setup = Setup {
        listen: "127.0.0.1:18086".parse().unwrap(),
        ..setup
    };
    let router = launch::vllm_router(Path::new("vllm-router"), &setup, "consistent_hash");
    assert_shown(&router);
}

/// Asserts that the command of the same program on the page has only flags that this command has, with
/// the same values.
fn assert_shown(tested: &Command) {
    let tested: Vec<_> = [tested.get_program()]
        .into_iter()
        .chain(tested.get_args())
        .map(|word| word.to_str().unwrap())
        .collect();
    let command = blocks()
        .iter()
        .map(Block::text)
        .find(|text| text.starts_with(&format!("{} ", tested[0])))
        .unwrap_or_else(|| panic!("docs/gateways.md does not show how to start {}", tested[0]));
    let words: Vec<_> = command
        .split_whitespace()
        .filter(|word| *word != "\\")
        .collect();
    for flag in words.chunk_by(|_, next| !next.starts_with("--")) {
        assert!(
            tested.windows(flag.len()).any(|window| window == flag),
            "docs/gateways.md starts {} with {flag:?}, but the tests start it with {tested:?}",
            tested[0]
        );
    }
}

//! The pages of the guide name tests, and each of them exists.

use std::fs::read_to_string;

/// The modules of `tests/scope`. Every other module is in `stacks/tests`.
const OF_THE_SCOPE: [&str; 4] = ["body", "layer", "other_tasks", "reach"];

fn read(path: &str) -> String {
    let text = read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR")));
    text.unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// Returns the module and the name of each test in a page, such as
/// `reach::an_awaited_call_is_in_the_scope`.
fn tests_in(page: &str) -> Vec<(&str, &str)> {
    let is_snake_case = |name: &str| {
        name.chars()
            .all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    // The name of a test is a sentence, so it has several words.
    let is_test = |(module, name): &(&str, &str)| {
        is_snake_case(module) && is_snake_case(name) && name.matches('_').count() >= 3
    };
    let code = page.split('`').filter_map(|code| code.split_once("::"));
    code.filter(is_test).collect()
}

/// Returns the file and the name of each test of a Worker in a page, such as
/// `chat: a Durable Object sends its id`.
fn worker_tests_in(page: &str) -> Vec<(&str, &str)> {
    let files = ["chat", "panic", "paths", "redirect", "scope"];
    let code = page.split('`').filter_map(|code| code.split_once(": "));
    code.filter(|(file, name)| files.contains(file) && *name != "…")
        .collect()
}

#[test]
fn every_test_of_a_worker_that_the_guide_names_exists() {
    let page = read("docs/stacks.md");
    let tests = worker_tests_in(&page);
    assert!(tests.len() >= 11, "{} tests of a Worker", tests.len());
    for (file, name) in tests {
        let path = format!("workers/test/{file}.test.mjs");
        assert!(
            read(&path).contains(&format!("test(\"{name}\"")),
            "docs/stacks.md names the test {name}, which {path} does not have"
        );
    }
}

#[test]
fn every_test_that_the_guide_names_exists() {
    for (page, least) in [("docs/scope.md", 25), ("docs/stacks.md", 55)] {
        let text = read(page);
        let tests = tests_in(&text);
        assert!(tests.len() >= least, "{page} names {} tests", tests.len());
        for (module, name) in tests {
            let path = if OF_THE_SCOPE.contains(&module) {
                format!("tests/scope/{module}.rs")
            } else {
                format!("stacks/tests/{module}.rs")
            };
            let exists = read(&path).contains(&format!("fn {name}("));
            assert!(
                exists,
                "{page} names the test {name}, which {path} does not have"
            );
        }
    }
}

//! The pages of the guide name tests, and each of them exists.

use std::fs::read_to_string;

/// The modules of `tests/scope`. Every other module is in `stacks/tests`.
const OF_THE_SCOPE: [&str; 4] = ["body", "layer", "other_tasks", "reach"];

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

#[test]
fn every_test_that_the_guide_names_exists() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |path: &str| {
        let text = read_to_string(format!("{root}/{path}"));
        text.unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
    };
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

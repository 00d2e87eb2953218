//! The names of headers. A wrong one fails silently.

use tower_session_affinity::header;

/// The header modules of this crate and of the token layer.
const SOURCES: [&str; 2] = [
    include_str!("../src/header.rs"),
    include_str!("../token/src/header.rs"),
];

#[test]
fn each_constant_is_named_after_its_header() {
    for source in SOURCES {
        let names = source.matches("HeaderName::from_static(").count();
        assert!(names >= 3, "expected at least 3 names, found {names}");
        let declarations = source.split("pub const ").skip(1);
        let declarations: Vec<_> = declarations
            .filter_map(|declaration| declaration.split_once(": HeaderName"))
            .collect();
        assert_eq!(
            declarations.len(),
            names,
            "expected each name in a public constant"
        );
        for (constant, value) in declarations {
            let name = value.split('"').nth(1).unwrap();
            assert_eq!(constant.to_ascii_lowercase().replace('_', "-"), name);
        }
    }
}

#[test]
fn caller_sessions_has_these_four_headers_in_this_order() {
    assert_eq!(
        header::CALLER_SESSIONS,
        [
            "x-session-affinity",
            "x-session-id",
            "x-claude-code-session-id",
            "session-id"
        ]
    );
}

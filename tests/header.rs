//! The names of headers. A wrong one fails in silence.

/// The core's and the token layer's.
const SOURCES: [&str; 2] = [
    include_str!("../src/header.rs"),
    include_str!("../token/src/header.rs"),
];

#[test]
fn each_constant_is_spelled_as_its_header() {
    for (source, constants) in SOURCES.into_iter().zip([17, 3]) {
        let declarations: Vec<_> = source.split("pub const ").skip(1).collect();
        assert_eq!(declarations.len(), constants);
        for declaration in declarations {
            let (constant, value) = declaration.split_once(": HeaderName").unwrap();
            let name = value.split('"').nth(1).unwrap();
            assert_eq!(constant.to_ascii_lowercase().replace('_', "-"), name);
        }
    }
}

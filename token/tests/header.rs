//! The names must be those that gateways read, since a misspelled one fails silently.

use tower_affinity_token::header;

#[test]
fn each_constant_has_its_documented_name() {
    for (constant, name) in [
        (header::X_SESSION_TOKEN, "x-session-token"),
        (header::X_SESSION_TOKEN_PREFILL, "x-session-token-prefill"),
        (header::X_CODEX_TURN_STATE, "x-codex-turn-state"),
        (
            header::X_AMZN_SAGEMAKER_SESSION_ID,
            "x-amzn-sagemaker-session-id",
        ),
        (
            header::X_AMZN_SAGEMAKER_NEW_SESSION_ID,
            "x-amzn-sagemaker-new-session-id",
        ),
        (
            header::X_AMZN_SAGEMAKER_CLOSED_SESSION_ID,
            "x-amzn-sagemaker-closed-session-id",
        ),
    ] {
        assert_eq!(constant, name);
    }
}

/// The table above must list every constant.
#[test]
fn every_constant_is_tested() {
    let source = include_str!("../src/header.rs");
    let constants = source.matches("pub const ").count();
    let tested = include_str!("header.rs").matches("header::X_").count();
    // One of the matches is the search string itself.
    assert_eq!(constants, tested - 1);
}

#[test]
fn each_constant_is_its_name_in_upper_case() {
    for line in include_str!("../src/header.rs").split("pub const ").skip(1) {
        let (constant, rest) = line.split_once(':').unwrap();
        let name = rest.split('"').nth(1).unwrap();
        assert_eq!(constant, name.to_uppercase().replace('-', "_"));
    }
}

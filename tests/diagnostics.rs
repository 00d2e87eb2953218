//! What a developer sees after a mistake: the compiler's error for a source of the wrong type, and the
//! panic for an invalid literal.

use std::panic::{catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tower_session_affinity::{AffinityKey, HostPattern};

/// Finds the newest build of this crate next to the running test.
fn library(dependencies: &Path) -> PathBuf {
    let modified = |path: &PathBuf| -> SystemTime { path.metadata().unwrap().modified().unwrap() };
    let files = dependencies
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let of_this_crate = |path: &PathBuf| {
        let stem = path.file_stem().unwrap().to_string_lossy();
        stem.starts_with("libtower_session_affinity-") && path.extension().unwrap() == "rlib"
    };
    files
        .filter(of_this_crate)
        .max_by_key(modified)
        .expect("the library is built")
}

/// Compiles a function with this body and returns the compiler's messages.
fn complaint(body: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let dependencies = test.parent().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("lib.rs");
    let code = format!("use tower_session_affinity::*; pub fn f() {{ {body} }}");
    std::fs::write(&source, code).unwrap();
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata"])
        .arg("--extern")
        .arg(format!(
            "tower_session_affinity={}",
            library(dependencies).display()
        ))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg("--out-dir")
        .arg(scratch.path())
        .arg(&source)
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_source_of_the_right_type_compiles() {
    let body = "let _ = SessionAffinityLayer::new().or(AffinityKey::from_static(\"abc\"));";
    assert_eq!(complaint(body), "");
}

#[test]
fn the_error_for_a_string_source_suggests_from_static() {
    let complaint = complaint("let _ = SessionAffinityLayer::new().or(\"abc\");");
    assert!(
        complaint.contains("`&str` is not a source of affinity keys"),
        "{complaint}"
    );
    assert!(
        complaint.contains("write `AffinityKey::from_static(\"…\")`"),
        "{complaint}"
    );
}

#[test]
fn the_error_for_a_closure_source_suggests_or_fn() {
    let complaint =
        complaint("let _ = SessionAffinityLayer::new().or(|req: RequestHead<'_>| None);");
    assert!(
        complaint.contains("is not a source of affinity keys"),
        "{complaint}"
    );
    assert!(
        complaint.contains("a closure: write `.or_fn(|req| …)`"),
        "{complaint}"
    );
}

#[test]
fn the_error_for_an_unannotated_closure_source_suggests_or_fn() {
    let complaint = complaint("let _ = SessionAffinityLayer::new().or(|req| None);");
    assert!(
        complaint.contains("a closure: write `.or_fn(|req| …)`"),
        "{complaint}"
    );
}

#[test]
fn the_panic_for_an_invalid_literal_points_to_the_callers_file() {
    let blamed = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&blamed);
    set_hook(Box::new(move |panic| {
        let file = panic.location().map(|location| location.file().to_owned());
        note.lock().unwrap().push(file);
    }));
    assert!(catch_unwind(|| AffinityKey::from_static("a b")).is_err());
    assert!(catch_unwind(|| HostPattern::from_static("*")).is_err());
    drop(take_hook());
    let here = Some(file!().to_owned());
    assert_eq!(*blamed.lock().unwrap(), [here.clone(), here]);
}

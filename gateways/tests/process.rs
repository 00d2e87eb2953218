//! Every process that a test starts ends with the test.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use gateways::engine::ENDS_WITH_PARENT;
use gateways::{Process, Setup};

/// Returns whether any process has this folder as its working directory.
fn is_in_use(folder: &Path) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .into_iter()
        .any(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
}

fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    condition()
}

fn sleeper(folder: &Path) -> io::Result<Process> {
    Process::start(Command::new("sleep").arg("600").current_dir(folder), folder)
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_ends_when_its_test_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let test = thread::spawn({
        let path = path.clone();
        move || {
            let _process = sleeper(&path).unwrap();
            assert!(
                wait_until(|| is_in_use(&path)),
                "the process has not started"
            );
            panic!("as a failed test does");
        }
    });
    assert_eq!(
        *test.join().unwrap_err().downcast::<&str>().unwrap(),
        "as a failed test does"
    );
    assert!(!is_in_use(&path), "the process outlived its test");
}

/// A test that is killed drops nothing either.
#[test]
#[cfg(target_os = "linux")]
fn a_process_that_is_never_dropped_ends_with_the_thread_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let test = thread::spawn({
        let path = path.clone();
        move || {
            std::mem::forget(sleeper(&path).unwrap());
            assert!(
                wait_until(|| is_in_use(&path)),
                "the process has not started"
            );
        }
    });
    test.join().unwrap();
    assert!(
        wait_until(|| !is_in_use(&path)),
        "a process outlived its parent"
    );
}

#[test]
fn only_an_illegal_instruction_is_reported_as_unsupported() {
    let folder = tempfile::tempdir().unwrap();
    for (script, kind) in [
        ("kill -ILL $$", io::ErrorKind::Unsupported),
        ("exit 1", io::ErrorKind::Other),
    ] {
        let command = &mut Command::new("sh");
        let mut process = Process::start(command.args(["-c", script]), folder.path()).unwrap();
        assert!(
            wait_until(|| process.check().is_err()),
            "`{script}` has not ended"
        );
        assert_eq!(process.check().unwrap_err().kind(), kind, "`{script}`");
    }
}

/// vLLM's servers have child processes, too.
#[test]
#[cfg(target_os = "linux")]
fn the_children_of_a_python_program_end_with_it() {
    if Command::new("python3").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let child = "open('started', 'w'); import time; time.sleep(600)";
    let parent =
        format!("import subprocess, sys; subprocess.run([sys.executable, '-c', {child:?}])");
    let mut command = Command::new("python3");
    command.args(["-c", &parent]).current_dir(&path);
    command.env("PYTHONPATH", ENDS_WITH_PARENT);
    let process = Process::start(&command, &path).unwrap();
    assert!(
        wait_until(|| path.join("started").exists()),
        "the process has not started"
    );
    drop(process);
    assert!(
        wait_until(|| !is_in_use(&path)),
        "a process outlived its parent"
    );
}

#[test]
fn a_configuration_for_two_replicas_names_only_those_two() {
    let folder = tempfile::tempdir().unwrap();
    let replicas = vec![
        "127.0.0.1:40001".parse().unwrap(),
        "127.0.0.1:40002".parse().unwrap(),
    ];
    let setup = Setup::new(replicas, folder.path()).unwrap();
    let published = include_str!("../nginx.conf");
    let text = fs::read_to_string(setup.write(published, 18081)).unwrap();
    let servers = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("server 127.0.0.1:"));
    let ports: Vec<_> = servers.map(|server| &server[..5]).collect();
    assert_eq!(ports, ["40001", "40002"]);
}

//! The command line: errors before anything is sent.

use std::process::Stdio;

use crate::support::{KEY, KEY_ENV, Server, answer, probe, run, usage};

fn rejected(args: &[&str], why: &str) {
    let ran = run(probe(args));
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
    assert!(ran.err.contains(why), "{}", ran.err);
}

#[test]
fn an_invalid_address_is_rejected() {
    for (url, why) in [
        (
            "api.example/v1",
            "error: --url must begin with http:// or https://",
        ),
        (
            "ftp://api.example/v1",
            "error: --url must begin with http:// or https://",
        ),
        // The rest of the message comes from the `http` crate, and differs between its versions.
        ("http://", "error: --url is not a valid address: "),
        ("http://:80/v1", "error: --url has no host"),
        (
            "https://api.example:99999/v1",
            "error: --url has an invalid port",
        ),
        ("http://[::1]:x/v1", "error: --url has an invalid port"),
        (
            "https://me:secret@api.example/v1",
            "error: --url must not contain a password",
        ),
    ] {
        rejected(&["--url", url, "--model", "m", "--yes"], why);
    }
}

#[test]
fn a_password_in_the_address_is_not_printed() {
    let ran = run(probe(&[
        "--url",
        "https://me:hunter2@api.example/v1",
        "--model",
        "m",
    ]));
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}

#[test]
fn url_without_model_is_rejected() {
    rejected(&["--url", "http://127.0.0.1:1/v1", "--yes"], "--model");
}

#[test]
fn an_api_key_instead_of_its_variable_is_rejected_and_not_printed() {
    let args = [
        "--url",
        "http://127.0.0.1:1/v1",
        "--model",
        "m",
        "--yes",
        "--api-key-env",
        KEY,
    ];
    let expected = "error: the environment variable named by --api-key-env is not set\n\
                    --api-key-env takes the name of a variable, not the key itself.\n";
    rejected(&args, expected);
}

#[test]
fn an_invalid_api_key_is_rejected_with_the_reason() {
    for (value, why) in [
        (" \n", "is empty"),
        (
            "two words",
            "contains a character that is not valid in an API key",
        ),
    ] {
        let mut command = probe(&["--url=http://127.0.0.1:1/v1", "--model=m", "--yes"]);
        command
            .args(["--api-key-env", "OTHER_KEY"])
            .env("OTHER_KEY", value);
        let ran = run(command);
        let expected = format!("error: the environment variable named by --api-key-env {why}\n");
        assert_eq!((ran.code, ran.err), (Some(2), expected));
    }
}

#[test]
fn a_name_that_the_probe_uses_itself_is_rejected() {
    rejected(
        &["--header-name", "Authorization"],
        "the probe uses this header itself; choose a different name",
    );
    rejected(&["--header-name", "x session"], "invalid");
    rejected(
        &["--body-field=temperature"],
        "error: --body-field temperature: the probe uses this field itself; choose a different name",
    );
}

#[test]
fn a_file_that_cannot_be_written_is_rejected_before_the_run() {
    rejected(
        &["--json", "/no-such-folder/out.json"],
        "error: cannot write /no-such-folder/out.json",
    );
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_sent() {
    let server = Server::start(|_, _| answer(&usage(0)));
    let url = server.url();
    for stdin in [Stdio::null(), Stdio::piped()] {
        let mut command = probe(&["--url", &url, "--model", "m", "--api-key-env", KEY_ENV]);
        command.stdin(stdin);
        let ran = run(command);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
        let expected = format!(
            "This sends 96 requests with about 133,920 prompt tokens to {url}\nand asks for at most 768 output tokens.\n\
             error: nothing was sent: pass --yes to confirm, since there is no terminal to ask on\n"
        );
        assert_eq!(ran.err, expected);
    }
    assert!(server.received().is_empty());
}

#[test]
fn too_few_conversations_for_a_verdict_are_rejected_before_anything_is_sent() {
    let expected = "error: a verdict needs at least 6 conversations, but --conversations is 2\n";
    rejected(&["--conversations=2"], expected);
}

#[test]
fn the_help_fits_into_100_columns() {
    for help in ["-h", "--help"] {
        let ran = run(probe(&[help]));
        let widest = ran.out.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(100), "{}", ran.out);
    }
}

#[test]
fn the_help_names_every_exit_code() {
    let help = run(probe(&["--help"])).out.replace('\n', " ");
    for code in [
        "0 measured",
        "1 the endpoint failed",
        "2 bad usage",
        "3 the result fails --fail-if",
        "4 --fail-if or --min-gain cannot be checked",
        "130 interrupted",
    ] {
        assert!(help.contains(code), "{help}");
    }
}

#[test]
fn an_invalid_header_or_field_is_rejected_without_printing_its_value() {
    let url = ["--url=http://127.0.0.1:1/v1", "--model=m", "--yes"];
    for (arg, why) in [
        (
            "--header=no-colon-secret",
            "error: --header needs 'Name: value'",
        ),
        (
            "--header=content-length: secret",
            "--header content-length: the probe sets this header itself",
        ),
        (
            "--header=x-a: ${NO_SUCH_VARIABLE} secret",
            "the environment variable NO_SUCH_VARIABLE is not set",
        ),
        (
            "--header=x-session-affinity: secret",
            "--header x-session-affinity: the key is sent in this header",
        ),
        (
            "--set=a",
            "error: --set needs FIELD=JSON, such as --set top_k=1",
        ),
        (
            "--set=a=secret",
            "error: --set a: the value is not valid JSON; a string needs quotes",
        ),
        (
            "--set=messages=[]",
            "cannot change messages, which holds the conversation",
        ),
        (
            "--unset=messages",
            "cannot change messages, which holds the conversation",
        ),
    ] {
        let args = [&url[..], &[arg]].concat();
        let ran = run(probe(&args));
        assert_eq!(ran.code, Some(2), "{arg}");
        assert!(
            ran.err.contains(why) && !ran.err.contains("secret"),
            "{arg}: {}",
            ran.err
        );
    }
}

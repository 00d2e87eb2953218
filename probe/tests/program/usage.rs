//! The command line: what is refused before anything is sent.

use std::process::Stdio;

use crate::support::{KEY, KEY_ENV, Server, answer, probe, run, usage};

fn refused(args: &[&str], why: &str) {
    let ran = run(probe(args));
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
    assert!(ran.err.contains(why), "{}", ran.err);
}

#[test]
fn a_bad_address_is_refused() {
    for (url, why) in [
        (
            "api.example/v1",
            "error: --url must begin with http:// or https://",
        ),
        (
            "ftp://api.example/v1",
            "error: --url must begin with http:// or https://",
        ),
        // What follows is the word of the `http` crate, which differs between its versions.
        ("http://", "error: --url is no address: "),
        ("http://:80/v1", "error: --url has no host"),
        (
            "https://api.example:99999/v1",
            "error: --url has an invalid port",
        ),
        ("http://[::1]:x/v1", "error: --url has an invalid port"),
        (
            "https://me:secret@api.example/v1",
            "error: --url must not hold a password",
        ),
    ] {
        refused(&["--url", url, "--model", "m", "--yes"], why);
    }
}

#[test]
fn a_password_in_the_address_is_not_repeated() {
    let ran = run(probe(&[
        "--url",
        "https://me:hunter2@api.example/v1",
        "--model",
        "m",
    ]));
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}

#[test]
fn an_address_without_a_model_is_refused() {
    refused(&["--url", "http://127.0.0.1:1/v1", "--yes"], "--model");
}

#[test]
fn a_key_in_the_place_of_its_variable_is_refused_and_not_repeated() {
    let args = [
        "--url",
        "http://127.0.0.1:1/v1",
        "--model",
        "m",
        "--yes",
        "--api-key-env",
        KEY,
    ];
    let expected = "error: the environment variable that --api-key-env names is not set\n\
                    --api-key-env takes the name of a variable, and not the key itself.\n";
    refused(&args, expected);
}

#[test]
fn a_variable_that_holds_no_key_is_told_why() {
    for (value, why) in [
        (" \n", "is empty"),
        ("two words", "holds a character that no API key has"),
    ] {
        let mut command = probe(&["--url=http://127.0.0.1:1/v1", "--model=m", "--yes"]);
        command
            .args(["--api-key-env", "OTHER_KEY"])
            .env("OTHER_KEY", value);
        let ran = run(command);
        let expected = format!("error: the environment variable that --api-key-env names {why}\n");
        assert_eq!((ran.code, ran.err), (Some(2), expected));
    }
}

#[test]
fn a_header_that_the_request_needs_for_something_else_is_refused() {
    refused(
        &["--header-name", "Authorization"],
        "the requests need this header for something else",
    );
    refused(&["--header-name", "x session"], "invalid");
    refused(
        &["--body-field=temperature"],
        "error: --body-field temperature: the requests need this field for something else",
    );
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_the_run() {
    refused(
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
            "This sends 96 requests with about 133,920 prompt tokens to {url},\nand asks for at most 768 tokens of answers.\n\
             error: nothing was sent: give --yes, since there is no terminal to ask at\n"
        );
        assert_eq!(ran.err, expected);
    }
    assert!(server.received().is_empty());
}

#[test]
fn too_few_conversations_for_a_verdict_are_refused_before_they_are_paid_for() {
    let expected = "error: a verdict takes at least 6 conversations, and --conversations is 2\n";
    refused(&["--conversations=2"], expected);
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
        "3 --fail-if",
        "4 --fail-if",
        "130 interrupted",
    ] {
        assert!(help.contains(code), "{help}");
    }
}

#[test]
fn a_header_or_field_that_cannot_be_read_is_refused_without_its_value() {
    let url = ["--url=http://127.0.0.1:1/v1", "--model=m", "--yes"];
    for (arg, why) in [
        (
            "--header=no-colon-secret",
            "error: --header takes 'Name: value'",
        ),
        (
            "--header=content-length: secret",
            "--header content-length: the requests need",
        ),
        (
            "--header=x-a: ${NO_SUCH_VARIABLE} secret",
            "the environment variable NO_SUCH_VARIABLE is not set",
        ),
        (
            "--header=x-session-affinity: secret",
            "--header x-session-affinity: the key has this name",
        ),
        ("--set=a", "error: --set takes FIELD=JSON"),
        (
            "--set=a=secret",
            "error: --set a: its value is not JSON; a text has quotes",
        ),
        ("--set=messages=[]", "messages holds the conversation"),
        ("--unset=messages", "messages holds the conversation"),
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

//! The command line and the environment of the real process: old and new names, and what makes no sense.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::process::Command;

use common::Server;

/// Runs a command line that must fail, and gives back its exit code and what it said.
fn refused(options: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hushd"))
        .args(options)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    (output.status.code(), said)
}

#[test]
fn a_command_line_that_makes_no_sense_is_one_sentence_and_exit_code_2() {
    for (options, named) in [
        (&["--max-message", "many"][..], "--max-message"),
        (&["--room-buffer", "1000"], "--room-buffer"),
        (&["--listen", "nowhere"], "--listen"),
        (&["--allow-origin", "example.org"], "--allow-origin"),
        (&["--no-such-option"], "--no-such-option"),
        (&["--max-connections", "99999999"], "--max-connections"),
        (&["--max-rooms", "0"], "--max-rooms"),
        (&["--max-handshakes", "0"], "--max-handshakes"),
        (&["--max-headers", "65"], "--max-headers"),
        (&["--compression", "maybe"], "--compression"),
        (&["--close-timeout", "0"], "--close-timeout"),
        (&["--message-burst", "0"], "--message-burst"),
        (&["--message-burst", "5001"], "--message-burst"),
        (&["--ping-rate", "5001"], "--ping-rate"),
        (&["--message-rate", "1"], "--ping-timeout"),
        (&["--max-request-total", "1K"], "--max-request-total"),
        (
            &["--partial-messages-total", "1K"],
            "--partial-messages-total",
        ),
        (&["--client-buffer-total", "1K"], "--client-buffer-total"),
        (&["--room-buffer-total", "1M"], "--room-buffer-total"),
        (&["--history-size-total", "1K"], "--history-size-total"),
    ] {
        let (code, said) = refused(options, &[]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn an_address_in_use_is_one_sentence_and_exit_code_1() {
    let server = Server::start(&[]);
    let (code, said) = refused(&["--listen", &server.address.to_string()], &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("in use"), "{said}");
}

#[test]
fn listening_beyond_this_machine_without_an_allowed_origin_is_warned_about() {
    let warning = "without --allow-origin";
    for (options, warned) in [
        (&["--listen=0.0.0.0:0"][..], true),
        (
            &["--listen=0.0.0.0:0", "--allow-origin=https://a.example"],
            false,
        ),
        (&[], false),
    ] {
        let server = Server::start(options);
        let log = server.log();
        assert_eq!(
            log.iter().any(|line| line.contains(warning)),
            warned,
            "{log:?}"
        );
    }
}

/// Old options, the new ones, and a value for each.
const RENAMED: [(&str, &str, &str); 11] = [
    ("--lane-bytes", "--room-buffer", "2097152"),
    ("--lanes-bytes", "--room-buffer-total", "16M"),
    ("--history-bytes", "--history-size", "4K"),
    ("--histories-bytes", "--history-size-total", "8K"),
    ("--max-head", "--max-request", "500"),
    ("--max-heads", "--max-request-total", "100000"),
    ("--max-owed", "--client-buffer", "64K"),
    ("--max-owed-in-all", "--client-buffer-total", "1M"),
    ("--max-half-messages", "--partial-messages-total", "1M"),
    ("--max-handshaking", "--max-handshakes", "20"),
    ("--gather", "--batch-delay", "5"),
];

fn variable(option: &str) -> String {
    let name = option.trim_start_matches('-').replace('-', "_");
    format!("HUSHD_{}", name.to_uppercase())
}

/// The warnings about names, in the order in which they were logged.
fn warnings(server: &Server) -> Vec<String> {
    let said = |line: String| Some(line.split_once("] ")?.1.to_owned());
    let lines = server
        .log()
        .into_iter()
        .filter(|line| line.contains("WARN"));
    lines.filter_map(said).collect()
}

/// The status of a request of about so many bytes.
fn status_of_a_request(server: &Server, bytes: usize) -> String {
    let mut stream = server.connect();
    let padding = "x".repeat(bytes);
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: localhost\r\nPadding: {padding}\r\n\r\n"
    )
    .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer[9..].to_vec()).unwrap()
}

#[test]
fn old_names_of_options_work_and_each_is_warned_of_once() {
    let options: Vec<_> = RENAMED
        .map(|(old, _, value)| format!("{old}={value}"))
        .into();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let server = Server::start(&options);
    let want = RENAMED.map(|(old, new, _)| {
        format!("{old} is now {new}; the old name will go with the next release")
    });
    assert_eq!(warnings(&server), want);
    assert_eq!(status_of_a_request(&server, 100), "200");
    assert_eq!(status_of_a_request(&server, 1_000), "431");
}

#[test]
fn old_names_of_variables_work_and_each_is_warned_of_once() {
    let variables = RENAMED.map(|(old, _, value)| (variable(old), value));
    let variables = variables
        .each_ref()
        .map(|(name, value)| (name.as_str(), *value));
    let server = Server::start_with_variables(&variables, &[]);
    let want = RENAMED.map(|(old, new, _)| {
        let (old, new) = (variable(old), variable(new));
        format!("{old} is now {new}; the old name will go with the next release")
    });
    assert_eq!(warnings(&server), want);
    assert_eq!(status_of_a_request(&server, 1_000), "431");
}

#[test]
fn the_command_line_wins_over_the_environment_under_either_name() {
    for (variables, options, status, warned) in [
        (("HUSHD_MAX_REQUEST", "500"), &[][..], "431", &[][..]),
        (
            ("HUSHD_MAX_REQUEST", "500"),
            &["--max-request=5K"],
            "200",
            &[],
        ),
        (
            ("HUSHD_MAX_REQUEST", "500"),
            &["--max-head=5K"],
            "200",
            &["--max-head is now"],
        ),
        (
            ("HUSHD_MAX_HEAD", "500"),
            &["--max-request=5K"],
            "200",
            &["HUSHD_MAX_HEAD is now"],
        ),
        (
            ("HUSHD_MAX_HEAD", "500"),
            &["--max-head=5K"],
            "200",
            &["--max-head is now", "HUSHD_MAX_HEAD is now"],
        ),
    ] {
        let server = Server::start_with_variables(&[variables], options);
        let warnings = warnings(&server);
        assert_eq!(warnings.len(), warned.len(), "{warnings:?}");
        let mut both = warnings.iter().zip(warned);
        assert!(
            both.all(|(warning, want)| warning.starts_with(want)),
            "{warnings:?}"
        );
        assert_eq!(
            status_of_a_request(&server, 1_000),
            status,
            "{variables:?} {options:?}"
        );
    }
}

#[test]
fn an_option_under_both_names_is_one_sentence_and_exit_code_2() {
    for (old, new, value) in RENAMED {
        let (code, said) = refused(&[old, value, new, value], &[]);
        assert_eq!(code, Some(2));
        let want =
            format!("hushd: {old} is the old name of {new}: only one of them may be given\n");
        assert_eq!(said, want);
        let (old, new) = (variable(old), variable(new));
        let (code, said) = refused(&[], &[(&old, value), (&new, value)]);
        assert_eq!(code, Some(2));
        let want = format!("hushd: {old} is the old name of {new}: only one of them may be set\n");
        assert_eq!(said, want);
    }
}

#[test]
fn a_refusal_names_the_option_as_it_was_given() {
    // A bare number means bytes.
    let (code, said) = refused(&["--lane-bytes", "1000"], &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--room-buffer 1000 is too small"), "{said}");
    assert!(
        said.contains("(--lane-bytes is now --room-buffer)"),
        "{said}"
    );
    let (code, said) = refused(&[], &[("HUSHD_MAX_HEAD", "many")]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("'many'") && said.contains("(HUSHD_MAX_HEAD is now"),
        "{said}"
    );
}

#[test]
fn a_variable_that_is_none_of_ours_is_warned_of() {
    let variables = [
        ("HUSHD_LANES", "1"),
        ("HUSHD_MAX_ROOMS", "7"),
        ("HUSH", "2"),
    ];
    let server = Server::start_with_variables(&variables, &[]);
    assert_eq!(
        warnings(&server),
        ["HUSHD_LANES is no variable of hushd: it is ignored"]
    );
}

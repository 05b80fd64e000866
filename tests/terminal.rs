//! What the command line says where there is no server, and what it does to whoever reads it: a terminal is
//! never commanded, and a script never gets what was meant for a person.

use std::process::Command;

use crate::cli::{fails, plain, run};
use crate::harness::{Cli, Server, neargate};

#[test]
fn what_a_container_writes_is_kept_and_cannot_command_a_terminal() {
    let server = Server::start_sim();
    server.register_workload("rude", &["env", "TEXT"]);
    let rude = "TEXT=\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m";
    let cli = server.cli(&["run", "rude", "--follow", "--env", rude]);
    assert_eq!(cli.ok(), &rude["TEXT=".len()..], "a pipe gets every byte");
    let id = run(&server, &["ps", "-q", "--all"]).ok().to_owned();
    let on_terminal = |command: &str, colours: bool| {
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", command, "/dev/null"]);
        let client = server.client(&[]);
        for (name, value) in client.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        if colours {
            script.env_remove("NO_COLOR");
        }
        let output = script
            .output()
            .expect("script, of util-linux, is installed");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let binary = neargate().get_program().to_str().unwrap().to_owned();
    let shown = on_terminal(&format!("{binary} logs {id}"), false);
    assert!(
        shown.contains("red") && !shown.contains('\x1b'),
        "{shown:?}"
    );
    let shown = on_terminal(&format!("{binary} logs {id}"), true);
    assert!(shown.contains("\x1b[31mred"), "colours may pass: {shown:?}");
    assert!(
        !shown.contains("\x1b[2J") && !shown.contains("\x1b]"),
        "{shown:?}"
    );
    // The same text in a tag, a name and a reason.
    for command in ["ps --all", "describe", "describe --output json", "events"] {
        let id = if command.starts_with("describe") {
            id.as_str()
        } else {
            ""
        };
        let shown = on_terminal(&format!("{binary} {command} {id}"), true);
        assert!(
            !shown.contains("\x1b[2J") && !shown.contains("\x1b]"),
            "{shown:?}"
        );
    }
}

#[test]
fn help_is_there_before_a_server_is() {
    let of = |args: &[&str]| plain(Cli::new(args, &neargate().args(args).output().unwrap()));
    for shell in ["bash", "zsh", "fish"] {
        let script = of(&["completions", shell]);
        for word in ["register", "definitions", "--client-token"] {
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(script.ok().contains(word), "{shell}: {word}");
        }
    }
    let bare = of(&[]);
    assert!(bare.ok().contains("neargate serve"), "{bare:#?}");
    let help = of(&["--help"]);
    let commands: Vec<&str> = help
        .ok()
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 13, "{commands:?}");
    let mut with_example = vec![vec!["--help"]];
    with_example.extend(commands.iter().map(|name| vec![*name, "--help"]));
    for (command, action) in [
        ("clusters", "create"),
        ("clusters", "delete"),
        ("definitions", "deregister"),
        ("definitions", "delete"),
    ] {
        with_example.push(vec![command, action, "--help"]);
    }
    for args in with_example {
        let help = of(&args);
        assert!(help.ok().contains("Example:\n  neargate "), "{help:#?}");
    }
    fails(&of(&["lunch"]), 2, &["lunch"]);
    fails(&of(&["run"]), 2, &["FAMILY"]);
    assert!(of(&["--version"]).ok().starts_with("neargate "));
}

#[test]
fn where_no_server_is_that_is_said_with_what_to_do() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    for args in [
        &["ps"] as &[&str],
        &["status"],
        &["run", "web"],
        &["events", "-f"],
        &["logs", "abc", "-f"],
    ] {
        let output = neargate()
            .args(args)
            .args(["--endpoint", &endpoint])
            .output();
        fails(
            &plain(Cli::new(args, &output.unwrap())),
            1,
            &[
                &format!("no Neargate answers at {endpoint}"),
                "hint: start one: neargate serve",
            ],
        );
    }
    let output = neargate().args(["ps", "--endpoint", "ftp://x"]).output();
    fails(
        &plain(Cli::new(&["ps"], &output.unwrap())),
        1,
        &["ftp://x", "hint:"],
    );
}

#[test]
fn without_a_terminal_there_is_no_colour_even_if_nobody_forbids_it() {
    let server = Server::start_sim();
    server.register_workload("job", &["exit", "--code", "1"]);
    for args in [
        &["run", "job", "--follow"] as &[&str],
        &["ps", "--all"],
        &["describe", "nothing"],
        &["--help"],
        &["lunch"],
        &["status"],
    ] {
        let mut command = server.client(args);
        command.env_remove("NO_COLOR").env("TERM", "xterm-256color");
        plain(Cli::new(args, &command.output().unwrap()));
    }
    assert!(!server.log().contains('\x1b'), "{}", server.log());
}

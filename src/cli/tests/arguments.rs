//! What can be typed.

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command, INTRODUCTION};

fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once(&"neargate").chain(arguments))
}

#[test]
fn the_definition_of_the_commands_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_of_every_command_ends_with_an_example_that_can_be_typed() {
    for command in Cli::command().get_subcommands() {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let (_, example) = help
            .rsplit_once("Example:\n")
            .unwrap_or_else(|| panic!("{} has none", command.get_name()));
        for line in example.lines() {
            let words: Vec<&str> = line
                .split_whitespace()
                .take_while(|word| *word != ">")
                .skip(1)
                .collect();
            let words: Vec<&str> = words
                .into_iter()
                .filter(|word| !word.starts_with('\'') && !word.ends_with('\''))
                .collect();
            assert_eq!(words.first(), Some(&command.get_name()), "{line}");
        }
    }
    assert_eq!(
        INTRODUCTION
            .lines()
            .filter(|line| line.starts_with("  neargate "))
            .count(),
        5
    );
}

#[test]
fn everything_behind_command_belongs_to_it() {
    let cli = parse(&[
        "run",
        "web:3",
        "-f",
        "--command",
        "log",
        "--lines",
        "5",
        "-x",
        "--wait",
    ])
    .unwrap();
    let Some(Command::Run(args)) = cli.command else {
        panic!("not run")
    };
    let shown = format!("{args:?}");
    assert!(
        shown.contains(r#"command: ["log", "--lines", "5", "-x", "--wait"]"#),
        "{shown}"
    );
    assert!(shown.contains("follow: true, wait: false"), "{shown}");
}

#[test]
fn global_options_stand_anywhere() {
    let cli = parse(&[
        "ps",
        "--endpoint",
        "http://127.0.0.1:1",
        "--cluster",
        "blue",
        "--output",
        "json",
    ])
    .unwrap();
    assert_eq!(cli.global.endpoint, "http://127.0.0.1:1");
    assert_eq!(cli.global.cluster.as_deref(), Some("blue"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for arguments in [
        &["run"][..],
        &["run", "web", "--count", "101"],
        &["run", "web", "--count", "0"],
        &["run", "web", "--follow", "--wait"],
        &["run", "web", "--env", "X"],
        &["register"],
        &["stop"],
        &["logs", "4f0c", "--since", "tomorrow"],
        &["definitions", "delete", "web"],
        &["usage", "4f0c", "--family", "web"],
        &["ps", "--status", "up"],
        &["serve", "--token", "secret"],
        &["frobnicate"],
    ] {
        let error = parse(arguments).expect_err(&arguments.join(" "));
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
    }
}

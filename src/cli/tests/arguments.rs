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

/// The words of a line as a shell would have them, up to where it sends the output or takes the input from elsewhere.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        if place % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(ToOwned::to_owned));
        }
    }
    words
        .into_iter()
        .take_while(|word| !word.starts_with(['>', '<', '|', '&']))
        .collect()
}

/// What is wrong with the examples of `command`, which is called `name`, and of all commands below it.
fn wrong_examples(command: &clap::Command, name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for below in command.get_subcommands() {
        let name = format!("{name} {}", below.get_name());
        let help = below.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        match help.rsplit_once("Example:\n") {
            None => wrong.push(format!("{name} has none")),
            Some((_, examples)) => {
                for line in examples.lines() {
                    let words = words(line);
                    let is_of_it = words.join(" ").starts_with(&name);
                    if !is_of_it {
                        wrong.push(format!("{name}: {line} is of another command"));
                    } else if let Err(error) = Cli::try_parse_from(&words) {
                        wrong.push(format!("{name}: {line}: {error}"));
                    }
                }
            }
        }
        wrong.extend(wrong_examples(below, &name));
    }
    wrong
}

#[test]
fn the_help_of_every_command_ends_with_an_example_that_can_be_typed() {
    let wrong = wrong_examples(&Cli::command(), "neargate");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let examples = INTRODUCTION.lines();
    let examples = examples.filter(|line| line.starts_with("  neargate "));
    assert_eq!(examples.count(), 5);
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

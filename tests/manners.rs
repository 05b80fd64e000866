//! The manners of the command line: it fits the terminal, keeps its colours for one, says times as people do unless they
//! want them exact, and can be left at any time without harm.

use std::fs;
use std::process::Command;

use crate::cli::{fails, file, plain, run};
use crate::harness::{Cli, Server, Typed, neargate};

/// What a command shows on a terminal of that width.
fn shown(mut command: Command, columns: u16, colour: bool) -> String {
    command.env_remove("COLUMNS").env("TERM", "xterm-256color");
    if colour {
        command.env_remove("NO_COLOR");
    }
    let (code, shown) = Typed::start(&command, columns, 40).end();
    assert_eq!(code, 0, "{shown}");
    shown
}

/// Without what sets colours.
fn text(shown: &str) -> String {
    let colour = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    colour.replace_all(shown, "").replace('\r', "")
}

#[test]
fn tables_fit_the_terminal_and_have_colours_only_there() {
    let server = Server::start_sim();
    server.register_workload(
        "a-job-with-a-name-that-is-rather-long",
        &["exit", "--code", "1"],
    );
    run(
        &server,
        &["run", "a-job-with-a-name-that-is-rather-long", "--wait"],
    );
    for args in [
        &["ps", "--all"] as &[&str],
        &["definitions"],
        &["clusters"],
        &["usage"],
        &["service", "ls"],
    ] {
        for width in [60, 100] {
            let coloured = shown(server.client(args), width, true);
            for line in text(&coloured).lines() {
                let long = line.chars().count() > usize::from(width);
                assert!(!long, "{args:?} is wider than {width}: {line:?}");
            }
            let plain = shown(server.client(args), width, false);
            assert!(!plain.contains('\x1b'), "NO_COLOR: {args:?}: {plain:?}");
        }
    }
    let coloured = shown(server.client(&["ps", "--all"]), 100, true);
    assert!(
        coloured.contains("\x1b["),
        "a terminal has colours: {coloured:?}"
    );
    let mut piped = server.client(&["ps", "--all"]);
    piped.env_remove("NO_COLOR");
    plain(Cli::new(&["ps"], &piped.output().unwrap()));
}

#[test]
fn times_are_said_as_people_do_and_exactly_on_demand() {
    let server = Server::start_sim();
    server.register_workload("job", &["exit"]);
    run(&server, &["run", "job", "--wait"]).ok();
    let id = run(&server, &["ps", "-q", "--all"]).ok().to_owned();
    let task = server.task(&id);
    let created = task["createdAt"].as_str().unwrap();
    let relative = run(&server, &["ps", "--all"]);
    let is_relative = relative.ok().contains(" ago") || relative.ok().contains("just now");
    assert!(
        is_relative && !relative.ok().contains(created),
        "{relative:#?}"
    );
    for args in [
        &["ps", "--all"] as &[&str],
        &["describe", &id],
        &["definitions"],
        &["clusters"],
        &["status"],
    ] {
        let exact = run(&server, &[args, &["--exact-times"]].concat());
        for words in [" ago", "just now"] {
            assert!(!exact.ok().contains(words), "{exact:#?}");
        }
    }
    let exact = run(&server, &["--exact-times", "ps", "--all"]);
    assert!(exact.ok().contains(created), "{exact:#?}");
}

#[test]
fn what_only_looks_or_waits_can_be_interrupted_and_says_what_goes_on() {
    let server = Server::start_sim();
    server.register_workload("web", &["sleep"]);
    let id = run(&server, &["run", "web"]).ok().to_owned();
    server.wait_for(&id, "RUNNING");
    let logs = server.stream(&["logs", "-f", &id, "-v"]);
    logs.wait_for("/logs");
    logs.signal("INT");
    fails(&plain(logs.end()), 130, &["interrupted", "tasks go on"]);
    assert_eq!(server.task(&id)["lastStatus"], "RUNNING");

    // The image never comes, so the deployment lasts.
    let slow = "family: slow\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n\
                - {name: main, image: \"stalled/workload\", command: [sleep]}\n";
    let service = "serviceName: slow\ntaskDefinition: slow\ndesiredCount: 1\n";
    let folder = server.folder().join("documents");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("definition.yaml"), slow).unwrap();
    fs::write(folder.join("service.yaml"), service).unwrap();
    let apply = server.stream(&["apply", "-f", folder.to_str().unwrap(), "--wait"]);
    apply.wait_for("1 pending");
    apply.signal("INT");
    let cli = plain(apply.end());
    assert_eq!(cli.code, 130, "{cli:#?}");
    for words in ["error: interrupted", "hint: the deployment goes on"] {
        assert!(cli.stderr.contains(words), "{cli:#?}");
    }
    let (_, service) = server.get("/v1/services/slow");
    assert_eq!(service["status"], "ACTIVE", "{service:#}");
    assert_eq!(service["pendingCount"], 1, "{service:#}");
}

#[test]
fn neargate_alone_is_a_short_help_whose_examples_are_commands() {
    let cli = plain(Cli::new(&[], &neargate().output().unwrap()));
    let examples: Vec<&str> = cli
        .ok()
        .lines()
        .filter(|line| line.starts_with("  neargate "))
        .collect();
    assert!((4..=8).contains(&examples.len()), "{cli:#?}");
    assert!(cli.ok().lines().count() <= 15, "short: {cli:#?}");
    for example in examples {
        let command = example.split_whitespace().nth(1).unwrap();
        let help = neargate().args([command, "--help"]).output().unwrap();
        assert!(help.status.success(), "{example}");
    }
}

#[test]
fn manual_pages_are_written_for_all_commands() {
    let server = Server::prepare(&[]);
    let folder = server.folder().join("man");
    let cli = neargate()
        .arg("man")
        .arg("--dir")
        .arg(&folder)
        .output()
        .unwrap();
    let cli = plain(Cli::new(&["man"], &cli));
    assert_eq!(cli.ok(), "", "{cli:#?}");
    let page = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(page("neargate.1").contains("neargate"), "{cli:#?}");
    assert!(page("neargate-service-update.1").contains("task\\-definition"));
    let one = plain(Cli::new(&["man"], &neargate().arg("man").output().unwrap()));
    assert_eq!(one.ok(), page("neargate.1").trim_end());
    let taken = file(&server, "file", "");
    let refused = neargate().args(["man", "--dir", &taken]).output().unwrap();
    fails(
        &plain(Cli::new(&["man"], &refused)),
        1,
        &["cannot be written", "hint:"],
    );
}

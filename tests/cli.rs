//! The command line from end to end: the real binary against a real server.
//!
//! Most of it runs on the simulated engine: what is proved here is what a person or a script is told, and
//! with which exit code. How tasks run on Docker is proved elsewhere.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Cli, Server, Stream, docker, eventually, neargate, require_engine};

/// Runs a command and makes sure that it wrote nothing that a terminal would obey.
fn run(server: &Server, args: &[&str]) -> Cli {
    plain(server.cli(args))
}

fn plain(cli: Cli) -> Cli {
    for text in [&cli.stdout, &cli.stderr] {
        assert!(!text.contains(['\x1b', '\r', '\x07']), "{cli:#?}");
    }
    cli
}

/// A command that fails with `code` and says all of `words` on stderr, and nothing on stdout.
fn fails(cli: &Cli, code: i32, words: &[&str]) {
    assert_eq!(cli.code, code, "{cli:#?}");
    assert_eq!(cli.stdout, "", "{cli:#?}");
    for word in words {
        assert!(cli.stderr.contains(word), "no `{word}` in {cli:#?}");
    }
}

/// What a command prints as JSON.
fn json_of(server: &Server, args: &[&str]) -> Value {
    let cli = run(server, &[args, &["--output", "json"]].concat());
    serde_json::from_str(cli.ok()).unwrap_or_else(|error| panic!("{error}: {cli:#?}"))
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// A file in the test's folder.
fn file(server: &Server, name: &str, text: &str) -> String {
    let path = server.folder().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A task definition of the sample workload, with one container for each command.
fn definition(family: &str, image: &str, containers: &[(&str, &[&str])]) -> String {
    let mut yaml = format!("family: {family}\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n");
    for (name, command) in containers {
        let _ = write!(
            yaml,
            "  - name: {name}\n    image: {image}\n    stopTimeout: 2\n    command: {}\n",
            serde_json::to_string(command).unwrap()
        );
    }
    yaml
}

#[test]
fn register_takes_what_is_good_and_says_where_the_rest_is_wrong() {
    let server = Server::start_sim();
    let good = definition("good", "neargate/workload", &[("main", &["exit"])]);
    let bad = "family: bad\ncontainerDefinitions:\n  - name: main\n    imag: nginx:1\n";
    let (good, bad) = (
        file(&server, "good.yaml", &good),
        file(&server, "bad.yaml", bad),
    );
    let other = definition("other", "neargate/workload", &[("main", &["exit"])]);
    let other = file(&server, "other.yaml", &other);
    let nowhere = server.folder().join("nowhere.yaml");
    let cli = run(
        &server,
        &["register", &good, &bad, nowhere.to_str().unwrap(), &other],
    );
    assert_eq!(cli.code, 1, "{cli:#?}");
    assert_eq!(lines(&cli.stdout), ["good:1", "other:1"]);
    for words in [
        format!("{bad}:4:5: containerDefinitions[0].imag: is not a known field"),
        "hint: did you mean `image`?".to_owned(),
        format!("{bad}:3:5: containerDefinitions[0].image: is missing"),
        "nowhere.yaml cannot be read".to_owned(),
    ] {
        assert!(cli.stderr.contains(&words), "no `{words}` in {cli:#?}");
    }
    let json = r#"{"family": "good", "containerDefinitions": [{"name": "a", "image": "b"}]}"#;
    let json = file(&server, "good.json", json);
    assert_eq!(run(&server, &["register", &json]).ok(), "good:2");
}

#[test]
fn run_passes_on_everything_that_it_is_told() {
    let server = Server::start_sim();
    server.register_workload("job", &["sleep"]);
    let args = [
        "run",
        "job",
        "--count",
        "3",
        "--env",
        "main:A=1",
        "--env",
        "B=x=y",
        "--tag",
        "team=shop",
        "--started-by",
        "me",
        "--group",
        "mine",
        "--client-token",
        "once",
        "--cpu",
        "512",
        "--memory",
        "1 GB",
        "--command",
        "env",
        "--",
        "-A",
    ];
    let first = run(&server, &args);
    let ids = lines(first.ok());
    assert_eq!(ids.len(), 3);
    assert_eq!(run(&server, &args).stdout, first.stdout, "the same tasks");
    for id in &ids {
        let task = server.task(id);
        assert_eq!(task["startedBy"], "me", "{task:#}");
        assert_eq!(task["group"], "mine", "{task:#}");
        assert_eq!(task["tags"], json!([{ "key": "team", "value": "shop" }]));
        assert_eq!(
            (&task["cpu"], &task["memory"]),
            (&json!("512"), &json!("1024"))
        );
        assert_eq!(
            task["overrides"]["containerOverrides"],
            json!([{
                "name": "main",
                "command": ["env", "--", "-A"],
                "environment": [{ "name": "A", "value": "1" }, { "name": "B", "value": "x=y" }],
            }]),
            "{task:#}"
        );
    }
    let mut other = args;
    other[3] = "2";
    fails(
        &run(&server, &other),
        1,
        &["hint: send the very same request again"],
    );
    fails(
        &run(&server, &["run", "job", "--count", "101"]),
        2,
        &["101"],
    );
    fails(
        &run(&server, &["run", "nobody"]),
        1,
        &[
            "task definition \"nobody\" does not exist",
            "hint: neargate definitions",
        ],
    );
}

#[test]
fn which_container_is_meant_is_asked_for_where_there_are_several() {
    let server = Server::start_sim();
    server.register(&definition(
        "two",
        "neargate/workload",
        &[("a", &["sleep"]), ("b", &["sleep"])],
    ));
    fails(
        &run(&server, &["run", "two", "--command", "exit"]),
        2,
        &[
            "task definition two:1 has 2 containers: a, b",
            "hint: say which",
        ],
    );
    let cli = run(
        &server,
        &[
            "run",
            "two",
            "--wait",
            "--container",
            "b",
            "--command",
            "exit",
            "--code",
            "6",
        ],
    );
    assert_eq!(cli.code, 6, "{cli:#?}");
}

#[test]
fn the_exit_code_of_a_run_is_the_essential_containers() {
    let server = Server::start_sim();
    let seven = definition(
        "seven",
        "neargate/workload",
        &[("main", &["exit", "--code", "7"])],
    );
    let seven = file(&server, "seven.yaml", &seven);
    let cli = run(&server, &["run", &seven, "--follow"]);
    assert_eq!((cli.code, cli.stdout.as_str()), (7, ""), "{cli:#?}");
    for words in [
        "registered seven:1",
        "PROVISIONING  seven:1",
        "main exited with 7",
    ] {
        assert!(cli.stderr.contains(words), "no `{words}` in {cli:#?}");
    }
    assert_eq!(run(&server, &["run", "seven", "--wait"]).code, 7);
    let zero = run(&server, &["run", "seven", "--wait", "--command", "exit"]);
    assert_eq!(zero.code, 0, "{zero:#?}");

    let log = ["log", "--lines", "3", "--stderr-every", "2"];
    server.register_workload("log", &log);
    let cli = run(&server, &["run", "log", "--follow"]);
    assert_eq!(lines(cli.ok()), ["line 1", "line 2", "line 3"]);

    // A side-car that fails is not what counts, and neither is one that succeeds.
    server.register(
        &(definition(
            "pair",
            "neargate/workload",
            &[
                ("main", &["exit", "--code", "4", "--after-ms", "300"]),
                ("side", &["exit"]),
            ],
        ) + "    essential: false\n"),
    );
    assert_eq!(run(&server, &["run", "pair", "--wait"]).code, 4);

    server.register(&definition("gone", "missing/image", &[("main", &[])]));
    let cli = run(&server, &["run", "gone", "--follow"]);
    fails(&cli, 125, &["CannotPullContainerError"]);
}

#[test]
fn a_pull_is_shown_while_it_goes_on() {
    let server = Server::start_sim();
    let slow = definition(
        "slow",
        "slow/workload:2",
        &[("main", &["exit", "--code", "3"])],
    );
    let slow = file(&server, "slow.yaml", &slow);
    let running = server.stream(&["run", &slow, "--follow"]);
    let pull = eventually("the pull to be under way", || {
        let tasks = server.get("/v1/tasks").1;
        let pull = tasks["items"][0]["pull"].clone();
        match pull["currentBytes"].as_u64() {
            Some(current) if current > 0 => Ok(pull),
            _ => Err(format!("{tasks:#}")),
        }
    });
    assert!(
        pull["totalBytes"].as_u64() > pull["currentBytes"].as_u64(),
        "{pull:#}"
    );
    running.wait_for("pulling slow/workload:2");
    let cli = plain(running.end());
    fails(&cli, 3, &["PENDING", "main exited with 3"]);
    let pulling = cli.stderr.matches("pulling slow/workload:2").count();
    assert!(pulling <= 2, "no line for each percent: {cli:#?}");
}

#[test]
fn ps_lists_what_is_wanted() {
    let server = Server::start_sim();
    server.register_workload("stays", &["sleep"]);
    server.register_workload("ends", &["exit", "--code", "2"]);
    let empty = run(&server, &["ps"]);
    assert_eq!(
        (empty.ok(), empty.stderr.is_empty()),
        ("", false),
        "{empty:#?}"
    );
    let stays = run(&server, &["run", "stays"]).ok().to_owned();
    assert_eq!(run(&server, &["run", "ends", "--wait"]).code, 2);
    server.wait_for(&stays, "RUNNING");
    let ended = run(&server, &["ps", "-q", "--status", "stopped"])
        .ok()
        .to_owned();

    assert_eq!(run(&server, &["ps", "--quiet"]).ok(), stays);
    assert_eq!(
        run(&server, &["ps", "-q", "--all"]).ok(),
        format!("{ended}\n{stays}")
    );
    assert_eq!(
        run(&server, &["ps", "-q", "--all", "--family", "ends"]).ok(),
        ended
    );
    assert_eq!(run(&server, &["ps", "-q", "--family", "ends"]).ok(), "");
    assert_eq!(
        run(&server, &["ps", "-q", "--status", "RUNNING"]).ok(),
        stays
    );
    let table = run(&server, &["ps", "--all"]);
    assert!(table.ok().contains("(exit 2)"), "{table:#?}");
    fails(
        &run(&server, &["ps", "--status", "BUSY"]),
        2,
        &["PROVISIONING", "STOPPED"],
    );
    fails(
        &run(&server, &["ps", "--cluster", "nowhere"]),
        1,
        &["cluster \"nowhere\" does not exist"],
    );
}

#[test]
fn a_task_is_found_by_its_first_digits_if_they_mean_one() {
    let server = Server::start_sim();
    server.register_workload("stays", &["sleep"]);
    // Of 17 hexadecimal numbers, two begin with the same digit.
    let ids = run(&server, &["run", "stays", "--count", "17"])
        .ok()
        .to_owned();
    let ids = lines(&ids);
    let first = |id: &str| id[..1].to_owned();
    let shared = ids
        .iter()
        .map(|id| first(id))
        .find(|digit| ids.iter().filter(|id| first(id) == *digit).count() > 1)
        .unwrap();
    let described = run(&server, &["describe", &ids[0][..12]]);
    assert!(described.ok().contains(ids[0]), "{described:#?}");
    assert_eq!(run(&server, &["stop", &ids[1][..12]]).ok(), ids[1]);
    let cli = run(&server, &["describe", &shared]);
    fails(&cli, 1, &["several tasks begin with", "hint:"]);
    let unknown = "ffffffffffffffffffffffffffffffff";
    fails(
        &run(&server, &["logs", unknown]),
        1,
        &["does not exist", "hint:"],
    );
    fails(
        &run(&server, &["describe", "nothing"]),
        1,
        &["nothing", "hint:"],
    );

    // What is wrong with one does not keep the others.
    let cli = run(&server, &["stop", unknown, ids[2]]);
    assert_eq!((cli.code, cli.stdout.trim_end()), (1, ids[2]), "{cli:#?}");
}

#[test]
fn logs_of_two_containers_are_told_apart_and_shortened_as_asked() {
    let server = Server::start_sim();
    let log = ["log", "--lines", "4"];
    server.register(&definition(
        "two",
        "neargate/workload",
        &[("a", &log), ("proxy", &["log", "--lines", "2"])],
    ));
    let id = run(&server, &["run", "two"]).ok().to_owned();
    let followed = run(&server, &["logs", "-f", &id]);
    let mut sorted = lines(followed.ok());
    sorted.sort_unstable();
    let all = [
        "a     | line 1",
        "a     | line 2",
        "a     | line 3",
        "a     | line 4",
        "proxy | line 1",
        "proxy | line 2",
    ];
    assert_eq!(sorted, all);
    server.wait_for(&id, "STOPPED");
    let of = |more: &[&str]| run(&server, &[&["logs", id.as_str()], more].concat());
    assert_eq!(lines(of(&[]).ok()).len(), 6);
    assert_eq!(
        lines(of(&["--container", "a"]).ok()),
        ["line 1", "line 2", "line 3", "line 4"]
    );
    assert_eq!(of(&["-c", "a", "--tail", "2"]).ok(), "line 3\nline 4");
    assert_eq!(
        lines(of(&["--tail", "1"]).ok()).len(),
        2,
        "of each container"
    );
    assert_eq!(lines(of(&["--since", "1h"]).ok()).len(), 6);
    assert_eq!(of(&["--since", "2100-01-01"]).ok(), "");
    assert!(of(&["-t", "-c", "proxy"]).ok().contains("Z line 1"));
    fails(&of(&["-c", "b"]), 1, &["container \"b\""]);
    fails(&of(&["-f", "-c", "b"]), 1, &["container \"b\""]);
    fails(&of(&["--since", "soon"]), 2, &["10m"]);
    let json = run(&server, &["logs", &id, "--output", "json"]);
    for line in json.ok().lines() {
        assert!(serde_json::from_str::<Value>(line).unwrap()["text"].is_string());
    }
}

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
fn stop_waits_and_gives_its_reason() {
    let server = Server::start_sim();
    server.register_workload("stays", &["sleep", "--term-code", "9"]);
    let id = run(&server, &["run", "stays"]).ok().to_owned();
    server.wait_for(&id, "RUNNING");
    let cli = run(
        &server,
        &["stop", &id[..12], "--reason", "no longer needed", "--wait"],
    );
    assert_eq!(cli.ok(), id);
    assert!(
        cli.stderr.contains("no longer needed (main exited with 9)"),
        "{cli:#?}"
    );
    let task = json_of(&server, &["describe", &id]);
    assert_eq!(task["stopCode"], "UserInitiated", "{task:#}");
    assert_eq!(task["stoppedReason"], "no longer needed", "{task:#}");
    assert_eq!(task["healthStatus"], "UNKNOWN", "{task:#}");
    let again = run(&server, &["stop", &id]);
    assert_eq!(again.ok(), id, "stopping twice changes nothing");
}

#[test]
fn ctrl_c_asks_a_followed_task_to_stop() {
    let server = Server::start_sim();
    server.register_workload("stays", &["sleep", "--term-code", "9"]);
    let followed = server.stream(&["run", "stays", "--follow"]);
    followed.wait_for("RUNNING");
    followed.signal("INT");
    let cli = plain(followed.end());
    fails(
        &cli,
        9,
        &["asking to stop", "Ctrl-C in neargate run --follow"],
    );

    let waited = server.stream(&["run", "stays", "--wait"]);
    waited.wait_for("RUNNING");
    waited.signal("INT");
    fails(
        &plain(waited.end()),
        130,
        &["interrupted", "hint: left as they are"],
    );
    let running = run(&server, &["ps", "-q"]);
    assert_eq!(lines(running.ok()).len(), 1, "it is left");
}

#[test]
fn events_are_listed_and_followed_until_somebody_has_enough() {
    let mut server = Server::start_sim();
    server.register_workload("job", &["exit"]);
    let followed = server.stream(&["events", "-f", "--after", "0"]);
    followed.wait_for("TaskDefinitionRegistered");
    run(&server, &["run", "job", "--wait"]).ok();
    followed.wait_for("STOPPED");
    followed.signal("INT");
    let cli = plain(followed.end());
    assert_eq!(cli.code, 130, "{cli:#?}");
    let listed = run(&server, &["events"]);
    assert!(
        listed.ok().starts_with(cli.stdout.trim_end()),
        "{cli:#?}\n{listed:#?}"
    );

    let id = run(&server, &["ps", "-q", "--all"]).ok().to_owned();
    let states: Vec<Value> = run(
        &server,
        &[
            "events",
            "--subject",
            &id,
            "--kind",
            "TaskStateChange",
            "--output",
            "json",
        ],
    )
    .ok()
    .lines()
    .map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].clone())
    .collect();
    assert_eq!(states.first(), Some(&json!("PROVISIONING")));
    assert_eq!(states.last(), Some(&json!("STOPPED")));
    fails(
        &run(&server, &["events", "--kind", "Nothing"]),
        2,
        &["TaskStateChange"],
    );

    // A server that goes away is looked for, and nothing is garbled.
    let followed = server.stream(&["events", "-f", "--output", "json"]);
    eventually("the stream to stand", || {
        run(&server, &["run", "job", "--wait"]);
        let seen = followed.stdout();
        if seen.is_empty() {
            Err(followed.stderr())
        } else {
            Ok(())
        }
    });
    server.shut_down();
    followed.wait_for("it is looked for again");
    followed.signal("INT");
    let cli = plain(followed.end());
    assert_eq!(cli.code, 130, "{cli:#?}");
    for line in cli.stdout.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
}

#[test]
fn usage_is_shown_of_one_and_of_all() {
    let server = Server::start_sim();
    server.register_workload("job", &["exit", "--after-ms", "200"]);
    for _ in 0..2 {
        run(&server, &["run", "job", "--wait"]).ok();
    }
    let ids = run(&server, &["ps", "-q", "--all"]).ok().to_owned();
    let one = run(&server, &["usage", lines(&ids)[0]]);
    for word in ["vCPU-seconds", "GB-seconds", "recorded by the engine"] {
        assert!(one.ok().contains(word), "{one:#?}");
    }
    let all = run(&server, &["usage"]);
    assert_eq!(
        lines(all.ok()).len(),
        4,
        "a head, two tasks, the total: {all:#?}"
    );
    assert!(all.ok().contains("2 tasks"));
    let report = json_of(&server, &["usage", "--family", "job", "--from", "1h"]);
    let length = |line: &Value| line["durationMs"].as_i64().unwrap();
    let items = report["items"].as_array().unwrap();
    assert_eq!(
        items.iter().map(length).sum::<i64>(),
        length(&report["total"]),
        "{report:#}"
    );
    assert!(items.iter().all(|line| length(line) >= 200), "{report:#}");
    let none = run(&server, &["usage", "--family", "nothing"]);
    assert_eq!((none.ok(), none.stderr.trim_end()), ("", "no usage"));
    fails(
        &run(&server, &["usage", "abc", "--family", "job"]),
        2,
        &["--family"],
    );
}

#[test]
fn definitions_are_taken_out_of_use_before_they_are_deleted() {
    let server = Server::start_sim();
    server.register_workload("job", &["exit"]);
    server.register_workload("job", &["exit"]);
    fails(
        &run(&server, &["definitions", "delete", "job:1"]),
        1,
        &["job:1", "hint:"],
    );
    assert_eq!(
        run(&server, &["definitions", "deregister", "job:1"]).ok(),
        "job:1"
    );
    fails(&run(&server, &["run", "job:1"]), 1, &["job:1", "hint:"]);
    let active = run(&server, &["definitions", "job"]);
    assert!(
        !active.ok().contains("job:1 ") && active.ok().contains("job:2"),
        "{active:#?}"
    );
    let all = run(&server, &["definitions", "--all"]);
    assert!(all.ok().contains("INACTIVE"), "{all:#?}");
    let cli = run(&server, &["definitions", "delete", "job:1"]);
    assert!(
        cli.ok().is_empty() && cli.stderr.contains("job:1 is deleted"),
        "{cli:#?}"
    );
    fails(
        &run(&server, &["definitions", "delete", "job:1"]),
        1,
        &["job:1\" does not exist"],
    );
    fails(
        &run(&server, &["definitions", "deregister", "job"]),
        2,
        &["FAMILY:REVISION"],
    );
    // The number is not given again.
    server.register_workload("job", &["exit"]);
    assert!(run(&server, &["describe", "job"]).ok().contains("job:3"));
}

#[test]
fn a_cluster_with_tasks_is_not_deleted() {
    let server = Server::start_sim();
    server.register_workload("stays", &["sleep"]);
    assert_eq!(
        run(&server, &["clusters", "create", "staging"]).ok(),
        "staging"
    );
    let id = run(&server, &["run", "stays", "--cluster", "staging"])
        .ok()
        .to_owned();
    assert_eq!(run(&server, &["ps", "-q"]).ok(), "");
    assert_eq!(run(&server, &["ps", "-q", "--cluster", "staging"]).ok(), id);
    fails(
        &run(&server, &["clusters", "delete", "staging"]),
        1,
        &["staging", "hint: stop its tasks"],
    );
    run(&server, &["stop", &id, "--wait"]).ok();
    let cli = run(&server, &["clusters", "delete", "staging"]);
    assert!(
        cli.ok().is_empty() && cli.stderr.contains("staging is deleted"),
        "{cli:#?}"
    );
    let left = run(&server, &["clusters"]);
    assert!(!left.ok().contains("staging"), "{left:#?}");
}

#[test]
fn json_and_yaml_are_the_same_answer() {
    let server = Server::start_sim();
    server.register_workload("stays", &["sleep"]);
    let id = run(&server, &["run", "stays"]).ok().to_owned();
    server.wait_for(&id, "RUNNING");
    run(&server, &["stop", &id, "--wait"]).ok();
    for command in [
        &["ps", "--all"] as &[&str],
        &["describe", &id],
        &["describe", "stays"],
        &["definitions"],
        &["clusters"],
        &["usage"],
        &["usage", &id],
        &["status"],
        &["stop", &id],
    ] {
        let json = json_of(&server, command);
        let yaml = run(&server, &[command, &["--output", "yaml"]].concat());
        let yaml: Value = serde_saphyr::from_str(yaml.ok()).unwrap();
        assert_eq!(json, yaml, "{command:?}");
        assert!(json.is_object(), "{command:?} {json:#}");
    }
    let api = server.task(&id);
    assert_eq!(
        json_of(&server, &["describe", &id]),
        api,
        "as the API gives it"
    );
    let events = |format: &str| {
        run(&server, &["events", "--output", format])
            .ok()
            .to_owned()
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple(&events("yaml")).unwrap();
    let rows: Vec<Value> = events("json")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(documents, rows);
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

#[test]
fn a_server_with_a_token_lets_in_who_has_it_and_shows_it_to_nobody() {
    const SECRET: &str = "correct-horse-battery-staple";
    let server = Server::start_sim_with(
        &[],
        &[("NEARGATE_TOKEN", SECRET), ("NEARGATE_LOG", "trace")],
    );
    let with = |token: Option<&str>, args: &[&str]| {
        let mut command = server.client(args);
        if let Some(token) = token {
            command.env("NEARGATE_TOKEN", token);
        }
        plain(Cli::new(args, &command.output().unwrap()))
    };
    let mut said = Vec::new();
    for token in [None, Some("wrong-horse-battery-staple")] {
        let cli = with(token, &["ps"]);
        fails(&cli, 1, &["token", "hint:"]);
        said.push(cli);
    }
    for args in [
        &["ps", "--verbose"] as &[&str],
        &["status", "--output", "json"],
        &["clusters", "create", "blue", "-v"],
        &["events"],
    ] {
        let cli = with(Some(SECRET), args);
        assert_eq!(cli.code, 0, "{cli:#?}");
        said.push(cli);
    }
    assert_eq!(server.get("/healthz").0, 200, "alive is not a secret");
    assert_eq!(server.get("/v1/tasks").0, 401);
    for cli in &said {
        assert!(!format!("{cli:?}").contains(SECRET), "{cli:#?}");
    }
    assert!(!server.log().contains(SECRET), "{}", server.log());

    let short = Server::prepare(&["--engine", "sim"])
        .env("NEARGATE_TOKEN", "too-short")
        .command()
        .output()
        .unwrap();
    let cli = plain(Cli::new(&["serve"], &short));
    fails(
        &cli,
        1,
        &["at least 16", "hint: make one with: openssl rand -hex 32"],
    );
    assert!(!cli.stderr.contains("too-short"), "{cli:#?}");
}

/// A server that is started with a configuration file and nothing else.
struct Configured {
    stream: Stream,
    folder: tempfile::TempDir,
    endpoint: String,
}

impl Configured {
    fn start(toml: impl Fn(&str) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("neargate.toml");
        fs::write(&path, toml(folder.path().to_str().unwrap())).unwrap();
        let args = ["serve", "--config", path.to_str().unwrap()];
        let mut command = neargate();
        command.args(args).env("HOME", folder.path());
        let stream = Stream::start(&args, command);
        stream.wait_for("listening on http://");
        let log = stream.stderr();
        let (_, rest) = log.split_once("listening on ").unwrap();
        let endpoint = rest.split_whitespace().next().unwrap().to_owned();
        Self {
            stream,
            folder,
            endpoint,
        }
    }

    fn cli(&self, args: &[&str], token: &str) -> Cli {
        let mut command = neargate();
        command.args(args).env("NEARGATE_ENDPOINT", &self.endpoint);
        if !token.is_empty() {
            command.env("NEARGATE_TOKEN", token);
        }
        plain(Cli::new(args, &command.output().unwrap()))
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("elsewhere")
    }
}

#[test]
fn each_key_of_a_configuration_file_has_its_effect() {
    const SECRET: &str = "correct-horse-battery-staple";
    let server = Configured::start(|folder| {
        fs::write(format!("{folder}/token"), format!("{SECRET}\n")).unwrap();
        format!(
            "listen = '127.0.0.1:0'\ndata_dir = '{folder}/elsewhere'\nengine = 'sim'\n\
             token_file = '{folder}/token'\nallowed_hosts = ['near.example']\n\
             warm_sandboxes = 0\nstarts_at_once = 1\nkept_log_bytes = 4096\n"
        )
    });
    assert!(
        !server.endpoint.ends_with(":6327"),
        "listen: {}",
        server.endpoint
    );
    assert!(server.data_dir().join("neargate.db").is_file() || server.data_dir().is_dir());
    fails(&server.cli(&["ps"], ""), 1, &["token"]);
    let status = server.cli(&["status"], SECRET);
    assert!(status.ok().contains("Engine    sim"), "{status:#?}");
    let called = |name: &str| {
        let output = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H"])
            .args([
                &format!("Host: {name}"),
                &format!("{}/healthz", server.endpoint),
            ])
            .output()
            .expect("curl is installed");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(called("near.example"), "200");
    assert_ne!(called("far.example"), "200");

    let loud = definition(
        "loud",
        "neargate/workload",
        &[("main", &["log", "--lines", "500", "--bytes", "100"])],
    );
    let path = server.folder.path().join("loud.yaml");
    fs::write(&path, loud).unwrap();
    let ran = server.cli(
        &["run", path.to_str().unwrap(), "--wait", "--output", "json"],
        SECRET,
    );
    let ran: Value = serde_json::from_str(ran.ok()).unwrap();
    let id = ran["tasks"][0]["taskId"].as_str().unwrap();
    eventually("the kept log to be as short as was asked for", || {
        let log = server.cli(&["logs", id], SECRET);
        if log.ok().len() <= 6_000 {
            Ok(())
        } else {
            Err(format!("{} bytes", log.stdout.len()))
        }
    });
    server.stream.signal("TERM");
    let cli = server.stream.end();
    assert_eq!(cli.code, 0, "{cli:#?}");
    assert!(!cli.stderr.contains(SECRET), "{cli:#?}");
}

#[test]
fn the_keys_about_docker_have_their_effect() {
    require_engine();
    let lost = Configured::start(|folder| {
        format!(
            "listen = '127.0.0.1:0'\ndata_dir = '{folder}/elsewhere'\n\
             docker_host = 'unix://{folder}/no.sock'\n"
        )
    });
    eventually("the engine to be looked for where the file says", || {
        let status = lost.cli(&["status"], "");
        if status.code == 1 && status.stdout.contains("does not answer") {
            Ok(())
        } else {
            Err(format!("{status:#?}"))
        }
    });

    let mut server = Server::prepare(&[]);
    let toml = file(
        &server,
        "neargate.toml",
        "warm_sandboxes = 1\npublish_ip = '127.0.0.2'\nstarts_at_once = 2\n",
    );
    server.env("NEARGATE_CONFIG", &toml);
    server.boot();
    let label = format!("label=neargate.instance={}", server.instance());
    eventually("one sandbox to be warm", || {
        let ids = docker(&["ps", "--quiet", "--filter", &label])?;
        if ids.lines().count() == 1 {
            Ok(())
        } else {
            Err(ids)
        }
    });
    server.register(
        &(definition(
            "web",
            "neargate/workload:latest",
            &[("main", &["serve", "--port", "8080"])],
        ) + "    portMappings: [{ containerPort: 8080 }]\nnetworkMode: bridge\n"),
    );
    let id = server.run("web");
    let task = server.wait_for(&id, "RUNNING");
    let binding = &task["containers"][0]["networkBindings"][0];
    assert_eq!(binding["bindIP"], "127.0.0.2", "{task:#}");
    assert!(run(&server, &["ps"]).ok().contains("127.0.0.2:"));
    run(&server, &["stop", &id, "--wait"]).ok();
}

#[test]
fn a_configuration_that_nobody_understands_is_refused_by_name() {
    let server = Server::prepare(&["--engine", "sim"]);
    for (toml, words) in [
        (
            "warm_sandboxs = 3\n",
            &["warm_sandboxs", "bad.toml"] as &[&str],
        ),
        ("listen = 'here'\n", &["listen", "bad.toml"]),
        ("listen = \n", &["bad.toml"]),
    ] {
        let path = file(&server, "bad.toml", toml);
        let output = server.command().args(["--config", &path]).output().unwrap();
        fails(&plain(Cli::new(&["serve"], &output)), 1, words);
    }
    let output = server
        .command()
        .args(["--config", "/no/such.toml"])
        .output();
    fails(
        &plain(Cli::new(&["serve"], &output.unwrap())),
        1,
        &["/no/such.toml"],
    );
    let output = server.command().args(["--warm-sandboxes", "many"]).output();
    fails(&plain(Cli::new(&["serve"], &output.unwrap())), 2, &["many"]);
    let mut open = neargate();
    open.args([
        "serve",
        "--engine",
        "sim",
        "--listen",
        "0.0.0.0:0",
        "--data-dir",
    ])
    .arg(server.data_dir());
    fails(
        &plain(Cli::new(&["serve"], &open.output().unwrap())),
        1,
        &["token", "hint:"],
    );
}

#[test]
fn on_docker_a_run_shows_the_log_and_gives_the_exit_code() {
    let server = Server::start();
    server.register_workload("log", &["log", "--lines", "2", "--every-ms", "200"]);
    let cli = run(&server, &["run", "log", "--follow"]);
    assert_eq!(cli.ok(), "line 1\nline 2", "{cli:#?}");
    let cli = run(
        &server,
        &["run", "log", "--follow", "--command", "exit", "--code", "7"],
    );
    assert_eq!(cli.code, 7, "{cli:#?}");
    server.register(&definition(
        "gone",
        "localhost:1/no/image:1",
        &[("main", &[])],
    ));
    let cli = run(&server, &["run", "gone", "--wait"]);
    fails(&cli, 125, &["CannotPullContainerError"]);
    server.wait_until_clean();
}

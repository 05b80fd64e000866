//! The command line from end to end: the real binary against a real server.
//!
//! Most of it runs on the simulated engine: what is proved here is what a person or a script is told, and
//! with which exit code. How tasks run on Docker is proved elsewhere.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use crate::harness::{Cli, Server, eventually};

/// Runs a command and makes sure that it wrote nothing that a terminal would obey.
pub fn run(server: &Server, args: &[&str]) -> Cli {
    plain(server.cli(args))
}

pub fn plain(cli: Cli) -> Cli {
    for text in [&cli.stdout, &cli.stderr] {
        assert!(!text.contains(['\x1b', '\r', '\x07']), "{cli:#?}");
    }
    cli
}

/// A command that fails with `code` and says all of `words` on stderr, and nothing on stdout.
pub fn fails(cli: &Cli, code: i32, words: &[&str]) {
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
pub fn file(server: &Server, name: &str, text: &str) -> String {
    let path = server.folder().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A task definition of the sample workload, with one container for each command.
pub fn definition(family: &str, image: &str, containers: &[(&str, &[&str])]) -> String {
    let mut yaml = format!("family: {family}\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n");
    for (name, command) in containers {
        write!(
            yaml,
            "  - name: {name}\n    image: {image}\n    stopTimeout: 2\n    command: {}\n",
            serde_json::to_string(command).unwrap()
        )
        .unwrap();
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
    let json = r#"{"family": "good", "containerDefinitions": [{"name": "a", "image": "b", "memory": 64}]}"#;
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
    running.wait_for("image slow/workload:2 is being pulled");
    let shown = run(&server, &["ps"]);
    assert!(shown.ok().contains(" MB"), "{shown:#?}");
    let cli = plain(running.end());
    fails(&cli, 3, &["PENDING", "main exited with 3"]);
    let pulling = cli.stderr.matches("is being pulled").count();
    assert!(
        (1..=2).contains(&pulling),
        "no line for each percent: {cli:#?}"
    );
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
    // They wait for their image for ever.
    server.register(&definition("stays", "stalled/image", &[("main", &[])]));
    let mut ids: Vec<String> = Vec::new();
    // The fewest digits that are taken are four; a few hundred IDs are enough for two to share them.
    let shared = eventually("two IDs that begin alike", || {
        let more = run(&server, &["run", "stays", "--count", "100"]);
        ids.extend(more.ok().lines().map(str::to_owned));
        let mut starts: Vec<&str> = ids.iter().map(|id| &id[..4]).collect();
        starts.sort_unstable();
        let twice = starts.windows(2).find(|two| two[0] == two[1]);
        twice
            .map(|two| two[0].to_owned())
            .ok_or(format!("{} IDs", ids.len()))
    });
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let described = run(&server, &["describe", &ids[0][..12]]);
    assert!(described.ok().contains(ids[0]), "{described:#?}");
    assert_eq!(run(&server, &["stop", &ids[1][..12]]).ok(), ids[1]);
    for command in ["describe", "logs", "stop", "usage"] {
        let cli = run(&server, &[command, &shared]);
        fails(
            &cli,
            1,
            &["several tasks begin with", "hint: write more digits: "],
        );
    }
    fails(
        &run(&server, &["logs", "abc"]),
        1,
        &["at least the first 4"],
    );
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
    fails(
        &run(&server, &["clusters", "delete", "default"]),
        1,
        &["cluster \"default\" cannot be deleted", "hint:"],
    );
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
        // A stopped task is still being tidied away, so both are asked for until nothing changed between them.
        eventually(&format!("{command:?} to say the same in both"), || {
            let json = json_of(&server, command);
            let yaml = run(&server, &[command, &["--output", "yaml"]].concat());
            let yaml: Value = serde_saphyr::from_str(yaml.ok()).unwrap();
            assert!(json.is_object(), "{command:?} {json:#}");
            if json == yaml {
                return Ok(());
            }
            Err(format!("JSON {json:#}\nYAML {yaml:#}"))
        });
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

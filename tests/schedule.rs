//! Schedules from end to end. That a run begins on the real engine, once, also when Neargate is killed around its time;
//! what a person or a script is told, on the simulated engine. What takes minutes is told in `storm/schedules`, where
//! time passes by itself.

use std::fs;

use neargate::clock::{Clock as _, SystemClock};
use neargate::domain::DurationMs;
use serde_json::{Value, json};

use crate::cli::{file, run};
use crate::ecs::call as ecs;
use crate::harness::{Server, eventually};

fn create(server: &Server, yaml: &str) -> Value {
    let (status, answer) = server.send(
        "POST",
        "/v1/schedules",
        Some(yaml.to_owned()),
        "application/yaml",
    );
    assert_eq!(status, 201, "{answer:#}");
    answer
}

fn runs(server: &Server, name: &str) -> Vec<Value> {
    let (status, page) = server.get(&format!("/v1/schedules/{name}/runs"));
    assert_eq!(status, 200, "{page:#}");
    page["items"].as_array().unwrap().clone()
}

/// Waits until the newest run has a task that has stopped.
fn ended(server: &Server, name: &str) -> Value {
    eventually(&format!("the run of {name} to end"), || {
        let runs = runs(server, name);
        match runs.first() {
            Some(run) if run["tasks"][0]["lastStatus"] == "STOPPED" => Ok(run.clone()),
            _ => Err(format!("{runs:#?}\n{}", server.log())),
        }
    })
}

/// What a command says that is refused.
fn refused(server: &Server, args: &[&str]) -> String {
    let cli = run(server, args);
    assert_eq!((cli.code, cli.stdout.as_str()), (1, ""), "{cli:#?}");
    cli.stderr
}

/// So many seconds from now, as `at(…)` takes it.
fn soon(seconds: u32) -> String {
    let at = SystemClock.now().plus(DurationMs::from_secs(seconds));
    format!("at({})", &at.to_string()[.."2026-11-20T13:00:00".len()])
}

#[test]
fn a_schedule_runs_at_its_time_and_once_whoever_is_killed() {
    let mut server = Server::start();
    server.register_workload("job", &["exit", "--code", "3", "--after-ms", "200"]);
    let at = soon(3);
    let answer = create(
        &server,
        &format!(
            "name: once\nscheduleExpression: {at}\ntarget: {{taskDefinition: job, tags: [{{key: team, value: blue}}]}}\n"
        ),
    );
    let time = answer["nextRuns"][0].as_str().unwrap().to_owned();
    // A rate runs at once.
    create(
        &server,
        "name: beat\nscheduleExpression: rate(1 day)\ntarget: {taskDefinition: job, count: 2}\n",
    );
    let beat = ended(&server, "beat");
    assert_eq!(beat["tasks"].as_array().unwrap().len(), 2, "{beat:#}");
    // Its time passes while nobody is there, or just before: it is on time all the same.
    server.kill();
    server.boot();
    let run = ended(&server, "once");
    assert_eq!(run["scheduledFor"], time, "{run:#}");
    assert_eq!(run["outcome"], "STARTED", "{run:#}");
    assert_eq!(run["tasks"][0]["exitCode"], 3, "{run:#}");
    let task = server.task(run["tasks"][0]["taskId"].as_str().unwrap());
    assert_eq!(task["startedBy"], "schedule/once", "{task:#}");
    assert_eq!(task["group"], "family:job", "{task:#}");
    assert_eq!(task["tags"], json!([{ "key": "team", "value": "blue" }]));
    // Whoever starts again does not run it again.
    server.kill();
    server.boot();
    let (_, page) = server.get("/v1/tasks?startedBy=schedule/once");
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page:#}");
    assert_eq!(runs(&server, "once").len(), 1);
    assert_eq!(runs(&server, "beat").len(), 1);
    let (_, once) = server.get("/v1/schedules/once");
    assert_eq!(once["nextRuns"], json!([]), "{once:#}");
    server.wait_until_clean();
}

#[test]
fn a_run_by_hand_keeps_to_the_policy() {
    let server = Server::start_sim();
    server.register_workload("job", &["sleep"]);
    for policy in ["allow", "forbid", "replace"] {
        let name = format!("by-hand-{policy}");
        create(
            &server,
            &format!(
                "name: {name}\nscheduleExpression: cron(0 0 1 1 ? 2199)\nconcurrencyPolicy: {policy}\n\
                 target: {{taskDefinition: job}}\n"
            ),
        );
        let first = run(&server, &["schedule", "run", &name]).ok().to_owned();
        server.wait_for(&first, "RUNNING");
        if policy == "allow" {
            run(&server, &["schedule", "run", &name]).ok();
            continue;
        }
        let refused = refused(&server, &["schedule", "run", &name]);
        let hint = format!("hint: stop it first: neargate stop {first}");
        assert!(refused.contains(&hint), "{refused}");
    }
    assert_eq!(runs(&server, "by-hand-allow").len(), 2);
    assert_eq!(runs(&server, "by-hand-allow")[0]["cause"], "user");
    let spoofed = server.post(
        "/v1/tasks",
        &json!({ "taskDefinition": "job", "startedBy": "schedule/by-hand-allow" }),
    );
    assert_eq!(spoofed.0, 400, "{:#}", spoofed.1);
}

#[test]
fn no_run_begins_where_the_container_instance_is_draining() {
    let server = Server::start_sim();
    server.register_workload("job", &["exit"]);
    let hosts = ecs(&server, "ListContainerInstances", &json!({}));
    let drain =
        json!({ "containerInstances": hosts["containerInstanceArns"], "status": "DRAINING" });
    ecs(&server, "UpdateContainerInstancesState", &drain);
    // A rate runs at once.
    create(
        &server,
        "name: beat\nscheduleExpression: rate(1 day)\ntarget: {taskDefinition: job}\n",
    );
    let run_of = eventually("the run to be decided", || {
        runs(&server, "beat").first().cloned().ok_or(server.log())
    });
    assert_eq!(run_of["outcome"], "FAILED", "{run_of:#}");
    assert_eq!(run_of["tasks"], json!([]), "{run_of:#}");
    let why = run_of["reason"].as_str().unwrap();
    assert!(why.ends_with("is DRAINING: no task is started"), "{why}");
    let (_, events) = server.get("/v1/events?subject=beat");
    assert!(events.to_string().contains("is DRAINING"), "{events:#}");
    let said = refused(&server, &["schedule", "run", "beat"]);
    assert!(said.contains("is DRAINING"), "{said}");
}

/// A schedule `nightly` of the task definition `job`.
fn nightly(server: &Server) {
    server.register_workload("job", &["exit"]);
    let made = run(
        server,
        &[
            "schedule",
            "create",
            "nightly",
            "--expression",
            "cron(0 3 * * ? *)",
            "--timezone",
            "Europe/Zurich",
            "--task-definition",
            "job",
            "--concurrency-policy",
            "forbid",
            "--missed-runs",
            "skip",
            "--tag",
            "a=b",
        ],
    );
    assert_eq!(made.ok(), "nightly");
    assert!(made.stderr.contains("next run: 2"), "{made:#?}");
}

#[test]
fn schedules_are_made_and_what_is_wrong_with_one_is_said() {
    let server = Server::start_sim();
    nightly(&server);
    let (_, shown) = server.get("/v1/schedules/nightly");
    assert_eq!(shown["concurrencyPolicy"], "forbid", "{shown:#}");
    assert_eq!(shown["missedRuns"], "skip", "{shown:#}");
    assert_eq!(shown["nextRuns"].as_array().unwrap().len(), 3, "{shown:#}");

    let twice = refused(
        &server,
        &[
            "schedule",
            "create",
            "nightly",
            "--expression",
            "rate(1 day)",
            "--task-definition",
            "job",
        ],
    );
    assert!(
        twice.contains("schedule \"nightly\" exists already"),
        "{twice}"
    );
    let wrong = refused(
        &server,
        &[
            "schedule",
            "update",
            "nightly",
            "--expression",
            "cron(0 3 * * *)",
        ],
    );
    assert!(wrong.contains("has 5 fields, and needs six"), "{wrong}");
    assert!(wrong.contains("cron(0 3 * * ? *)"), "{wrong}");
    let past = refused(
        &server,
        &[
            "schedule",
            "update",
            "nightly",
            "--expression",
            "at(2020-01-01T00:00:00)",
        ],
    );
    assert!(past.contains("no time that is still to come"), "{past}");
    let unknown = refused(
        &server,
        &["schedule", "update", "nightly", "--task-definition", "nope"],
    );
    assert!(
        unknown.contains("task definition \"nope\" does not exist"),
        "{unknown}"
    );
}

#[test]
fn schedules_are_changed_shown_and_deleted() {
    let server = Server::start_sim();
    nightly(&server);
    // What is not named stays.
    run(
        &server,
        &[
            "schedule",
            "update",
            "nightly",
            "--expression",
            "cron(0 4 ? * MON *)",
        ],
    )
    .ok();
    let (_, changed) = server.get("/v1/schedules/nightly");
    assert_eq!(changed["scheduleExpression"], "cron(0 4 ? * MON *)");
    assert_eq!(changed["scheduleExpressionTimezone"], "Europe/Zurich");
    assert_eq!(
        changed["target"]["tags"],
        json!([{ "key": "a", "value": "b" }])
    );

    run(&server, &["schedule", "disable", "nightly"]).ok();
    let listed = run(&server, &["schedule", "ls"]);
    assert!(listed.ok().contains("DISABLED"), "{listed:#?}");
    // It can be disabled and deleted, but not enabled, when what it runs is gone.
    run(&server, &["definitions", "deregister", "job:1"]).ok();
    let gone = refused(&server, &["schedule", "enable", "nightly"]);
    assert!(
        gone.contains("task definition \"job\" does not exist"),
        "{gone}"
    );
    server.register_workload("job", &["exit"]);
    run(&server, &["schedule", "enable", "nightly"]).ok();

    run(&server, &["schedule", "run", "nightly"]).ok();
    ended(&server, "nightly");
    let page = run(&server, &["schedule", "describe", "nightly"]);
    for words in [
        "Next runs",
        "cron(0 4 ? * MON *)",
        "exit 0",
        "succeeded",
        "user",
    ] {
        assert!(page.ok().contains(words), "no `{words}` in {page:#?}");
    }
    let (_, events) = server.get("/v1/events?subject=nightly");
    let told = events.to_string();
    for words in [
        "was created: cron(0 3 * * ? *)",
        "was updated",
        "was disabled",
        "was enabled",
        "has started",
    ] {
        assert!(told.contains(words), "no `{words}` in {events:#}");
    }
    run(&server, &["schedule", "delete", "nightly"]).ok();
    let (status, _) = server.get("/v1/schedules/nightly");
    assert_eq!(status, 404);
    let none = refused(&server, &["schedule", "describe", "nightly"]);
    assert!(none.contains("neargate schedule ls"), "{none}");
}

#[test]
fn schedules_are_applied_with_what_they_run() {
    let server = Server::start_sim();
    let folder = server.folder().join("documents");
    fs::create_dir(&folder).unwrap();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/schedules/hello.yaml");
    fs::copy(sample, folder.join("schedule.yaml")).unwrap();
    let definition = concat!(env!("CARGO_MANIFEST_DIR"), "/task-definitions/hello.yaml");
    fs::copy(definition, folder.join("hello.yaml")).unwrap();
    let folder = folder.to_str().unwrap();
    let apply = |more: &[&str]| run(&server, &[&["apply", "-f", folder], more].concat());
    let first = apply(&["--dry-run"]);
    assert!(
        first.ok().contains("schedule hello: is created"),
        "{first:#?}"
    );
    apply(&[]).ok();
    let (status, shown) = server.get("/v1/schedules/hello");
    assert_eq!(status, 200, "{shown:#}");
    let again = apply(&[]);
    assert!(
        again.ok().contains("schedule hello: unchanged"),
        "{again:#?}"
    );
    let text = fs::read_to_string(sample).unwrap();
    let changed = text.replace("Europe/Zurich", "Asia/Tokyo");
    assert_ne!(text, changed);
    let other = file(&server, "schedule.yaml", &changed);
    let updated = run(&server, &["apply", "-f", &other]);
    let line = "~ scheduleExpressionTimezone: Europe/Zurich -> Asia/Tokyo";
    assert!(updated.ok().contains(line), "{updated:#?}");
}

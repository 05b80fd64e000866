//! Containers that are started again without their task, on the real engine.
//!
//! ECS lets a container be started again after a minute at the soonest, and so do the fronts. These tests have no
//! minute: they hand tasks with shorter periods to the store themselves, before the server is started.

use std::collections::BTreeSet;
use std::time::Duration;

use neargate::clock::{Clock as _, RandomIds, SystemClock};
use neargate::domain::{DurationMs, Task, TaskId, TaskSpec};
use neargate::shapes::{Document, Format, ParsedTaskDefinition};
use neargate::store::Store;
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::harness::{Seen, Server, Witness, docker, eventually, leftovers, workload};

fn container(name: &str, command: &[&str]) -> Value {
    json!({ "name": name, "image": workload(), "command": command, "memory": 64, "stopTimeout": 1 })
}

/// One that is started again if it ran for 0.2 s, unless it ended with 7.
fn restarted(name: &str, command: &[&str]) -> Value {
    let mut one = container(name, command);
    one["restartPolicy"] = json!({ "enabled": true, "ignoredExitCodes": [7] });
    one
}

/// Hands a task of these containers to the store of a server that does not run.
fn accept(server: &Server, containers: &[Value]) -> String {
    let document = json!({ "family": "restarted", "containerDefinitions": containers });
    let document = Document::read(document.to_string().as_bytes(), Format::Json).unwrap();
    let mut definition = ParsedTaskDefinition::parse(&document).unwrap().definition;
    for container in &mut definition.containers {
        if let Some(policy) = &mut container.restart_policy {
            policy.attempt_period = DurationMs::from_millis(200);
        }
    }
    let id = TaskId::generate(&RandomIds);
    let (spec, now) = (TaskSpec::new(definition, 1), SystemClock.now());
    let task = Task::new(id.clone(), "default".parse().unwrap(), spec, now);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(&server.data_dir(), &RandomIds, now).await;
        let store = store.unwrap();
        store.create_tasks(&[task], None).await.unwrap();
        store.close().await;
    });
    id.to_string()
}

/// A server that was started once, so that it is known whose containers are its own, and does not run.
fn prepared() -> Server {
    let mut server = Server::start();
    server.shut_down();
    server
}

fn find<'a>(task: &'a Value, name: &str) -> &'a Value {
    let all = task["containers"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap()
}

fn restarts(task: &Value, name: &str) -> u64 {
    find(task, name)["restartCount"].as_u64().unwrap()
}

fn wait_for_restarts(server: &Server, id: &str, name: &str, times: u64) -> Value {
    eventually(&format!("{name} to be started again {times} times"), || {
        let task = server.task(id);
        if restarts(&task, name) >= times {
            Ok(task)
        } else {
            Err(format!("{task:#}\n{}", server.log()))
        }
    })
}

/// What the engine told of `main`, once it has told of all its ends.
fn seen_by(witness: &Witness, id: &str) -> Seen {
    eventually("the witness to have seen the end", || {
        let seen = witness.container(id, "main");
        if seen.ends.len() == seen.starts as usize {
            Ok(seen)
        } else {
            Err(format!("{seen:?}"))
        }
    })
}

fn notices(server: &Server, id: &str) -> Vec<String> {
    let (status, page) = server.get("/v1/events?limit=1000");
    assert_eq!(status, 200);
    let events = page["items"].as_array().unwrap().iter();
    events
        .filter(|event| event["subject"] == id && event["kind"] == "TaskNotice")
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_container_is_started_again_and_its_task_goes_on() {
    let mut server = prepared();
    let log = ["log", "--lines", "3", "--every-ms", "300"];
    let id = accept(
        &server,
        &[restarted("main", &log), container("side", &["sleep"])],
    );
    server.boot();
    let witness = Witness::of(server.instance());
    let first = server.wait_for(&id, "RUNNING");
    let stream = server.stream(&["logs", "--follow", "--container", "main", &id]);
    let later = wait_for_restarts(&server, &id, "main", 2);
    for field in ["address", "startedAt", "lastStatus", "desiredStatus"] {
        assert_eq!(first[field], later[field], "{later:#}");
    }
    for field in ["runtimeId", "startedAt", "restartCount"] {
        assert_eq!(find(&first, "side")[field], find(&later, "side")[field]);
    }
    let url = docker(&[
        "exec",
        &format!("neargate-{id}-side"),
        "/workload",
        "env",
        "ECS_CONTAINER_METADATA_URI_V4",
    ])
    .unwrap();
    let url = format!("{}/task", url.trim());
    let side = format!("neargate-{id}-side");
    let told = docker(&["exec", &side, "/workload", "get", &url]).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(
        told["Containers"][0]["RestartCount"].as_u64().unwrap() >= 2,
        "{told:#}"
    );
    assert!(
        told["Containers"][1].get("RestartCount").is_none(),
        "{told:#}"
    );

    server.stop(&id);
    server.wait_for(&id, "STOPPED");
    server.wait_until_clean();
    let stopped = server.task(&id);
    let times = restarts(&stopped, "main");
    let seen = seen_by(&witness, &id);
    assert_eq!(u64::from(seen.starts), times + 1, "{seen:?}\n{stopped:#}");
    assert_eq!(seen.most_at_once, 1, "{seen:?}");
    let code = seen.ends.last().unwrap().exit_code;
    assert_eq!(find(&stopped, "main")["exitCode"], code, "{stopped:#}");
    assert_eq!(stopped["stopCode"], "UserInitiated");
    assert_eq!(stopped["usage"]["closedAt"], stopped["executionStoppedAt"]);
    let told = notices(&server, &id);
    let expected = "container main ended with exit code 0 and is started again, attempt 1";
    assert_eq!(told[0], expected);
    assert!(
        told.len() as u64 >= times && told.len() as u64 <= times + 1,
        "{told:#?}"
    );
    let described = server.cli(&["describe", &id]);
    let words = format!("main: started again {times} times");
    assert!(described.ok().contains(&words), "{described:#?}");

    // The logs of all attempts, in the order of time, while somebody watches and after everything is gone.
    server.wait_until_clean();
    let followed = stream.end();
    let kept = server.cli(&["logs", "--timestamps", "--container", "main", &id]);
    let kept: Vec<&str> = kept.ok().lines().collect();
    assert!(kept.is_sorted(), "{kept:#?}");
    let whole = |lines: &mut dyn Iterator<Item = &str>| {
        lines.filter(|line| line.ends_with("line 1")).count()
    };
    assert_eq!(
        whole(&mut kept.iter().copied()) as u64,
        times + 1,
        "{kept:#?}"
    );
    assert_eq!(followed.stdout.lines().count(), kept.len(), "{followed:#?}");
    let tail = server.cli(&[
        "logs",
        "--tail",
        "4",
        "--timestamps",
        "--container",
        "main",
        &id,
    ]);
    assert_eq!(
        tail.ok().lines().collect::<Vec<_>>(),
        kept[kept.len() - 4..]
    );
}

#[test]
fn a_task_s_only_container_keeps_its_address_when_it_is_started_again() {
    let mut server = prepared();
    let id = accept(&server, &[restarted("main", &["sleep", "--for-ms", "500"])]);
    server.boot();
    let first = server.wait_for(&id, "RUNNING");
    let later = wait_for_restarts(&server, &id, "main", 1);
    assert!(first["address"].is_string());
    assert_eq!(first["address"], later["address"], "{later:#}");
    server.stop(&id);
    server.wait_for(&id, "STOPPED");
}

#[test]
fn an_exit_code_that_is_ignored_ends_it() {
    let mut server = prepared();
    let id = accept(
        &server,
        &[restarted(
            "main",
            &["exit", "--code", "7", "--after-ms", "500"],
        )],
    );
    server.boot();
    let task = server.wait_for(&id, "STOPPED");
    assert_eq!(task["stoppedReason"], "Essential container in task exited");
    let main = find(&task, "main");
    assert_eq!(
        (&main["exitCode"], &main["restartCount"]),
        (&json!(7), &json!(0))
    );
    assert_eq!(
        notices(&server, &id),
        [
            "container main ended with exit code 7 and is not started again: \
             7 is among the ignoredExitCodes of its restartPolicy"
        ]
    );
}

#[test]
fn one_that_ran_too_short_is_not_started_again() {
    let server = Server::start();
    server.register(&format!(
        "family: short\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n  - name: main\n    image: {}\n    \
         command: [exit, --code, '3', --after-ms, '300']\n    \
         restartPolicy: {{enabled: true, restartAttemptPeriod: 60}}\n",
        workload()
    ));
    let id = server.run("short");
    let task = server.wait_for(&id, "STOPPED");
    let main = find(&task, "main");
    assert_eq!(
        (&main["exitCode"], &main["restartCount"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(
        notices(&server, &id),
        [
            "container main ended with exit code 3 and is not started again: \
             it ran 0 s, less than the restartAttemptPeriod of 60 s"
        ]
    );
}

/// Each time at another moment between the end of one attempt and the start of the next.
const KILLS: usize = 15;

#[test]
fn killed_at_random_moments_it_starts_each_attempt_once_and_counts_them_all() {
    let mut server = prepared();
    let tasks: BTreeSet<String> = (0..3)
        .map(|_| {
            let main = restarted("main", &["exit", "--code", "1", "--after-ms", "350"]);
            accept(&server, &[main, container("side", &["sleep"])])
        })
        .collect();
    let witness = Witness::of(server.instance());
    server.boot();
    let mut counted = 0;
    for _ in 0..KILLS {
        std::thread::park_timeout(Duration::from_millis(rand::rng().random_range(100..700)));
        server.kill();
        server.boot();
        let now: u64 = tasks
            .iter()
            .map(|id| restarts(&server.task(id), "main"))
            .sum();
        assert!(now >= counted, "restarts are only counted up");
        counted = now;
    }
    for id in &tasks {
        wait_for_restarts(&server, id, "main", 3);
        server.stop(id);
    }
    for id in &tasks {
        let task = server.wait_for(id, "STOPPED");
        server.wait_until_clean();
        let seen = seen_by(&witness, id);
        assert_eq!(seen.most_at_once, 1, "{seen:?}");
        assert_eq!(
            u64::from(seen.starts),
            restarts(&task, "main") + 1,
            "{seen:?}\n{task:#}"
        );
        let side = witness.container(id, "side");
        assert_eq!(side.starts, 1, "its task was not started again: {side:?}");
        assert_eq!(task["stopCode"], "UserInitiated", "{task:#}");
        let kept = server.cli(&["logs", "--container", "main", id]);
        assert_eq!(kept.code, 0, "{kept:#?}");
    }
    server.shut_down();
    assert_eq!(leftovers(server.instance()), Vec::<String>::new());
}

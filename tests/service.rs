//! Services from end to end on the real engine: kept, scaled, rolled from one revision to the next and back.
//! What a person or a script is told about them is proved on the simulated engine, further below.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{fails, file, run};
use crate::harness::{Server, docker, eventually};

/// The document of a service `web` of family `web`.
pub fn document(count: u32, more: &str) -> String {
    format!("serviceName: web\ntaskDefinition: web\ndesiredCount: {count}\n{more}")
}

pub const BREAKER: &str =
    "deploymentConfiguration:\n  deploymentCircuitBreaker: {enable: true, rollback: true}\n";

pub fn create(server: &Server, yaml: &str) -> Value {
    let (status, answer) = server.send(
        "POST",
        "/v1/services",
        Some(yaml.to_owned()),
        "application/yaml",
    );
    assert_eq!(status, 201, "{answer:#}");
    answer
}

pub fn update(server: &Server, change: &Value) -> Value {
    let (status, answer) = server.send(
        "PATCH",
        "/v1/services/web",
        Some(change.to_string()),
        "application/json",
    );
    assert_eq!(status, 200, "{answer:#}");
    answer
}

pub fn service(server: &Server) -> Value {
    let (status, service) = server.get("/v1/services/web");
    assert_eq!(status, 200, "{service:#}");
    service
}

/// The tasks of the service that have not stopped.
pub fn tasks(server: &Server) -> Vec<Value> {
    let (status, page) = server.get("/v1/tasks?serviceName=web&limit=1000");
    assert_eq!(status, 200, "{page:#}");
    let is_live = |task: &&Value| task["lastStatus"] != "STOPPED";
    let items = page["items"].as_array().unwrap();
    items.iter().filter(is_live).cloned().collect()
}

fn ids(tasks: &[Value]) -> BTreeSet<String> {
    let id = |task: &Value| task["taskId"].as_str().unwrap().to_owned();
    tasks.iter().map(id).collect()
}

/// Waits until the service is in a steady state with `count` tasks, all of `definition`.
pub fn steady(server: &Server, count: usize, definition: &str) -> Vec<Value> {
    let what = format!("{count} tasks of {definition} in a steady state");
    eventually(&what, || {
        let (service, tasks) = (service(server), tasks(server));
        let is_there = service["steady"] == true
            && service["taskDefinition"] == definition
            && service["runningCount"] == count
            && tasks.len() == count
            && tasks
                .iter()
                .all(|task| task["taskDefinition"] == definition);
        if is_there {
            Ok(tasks)
        } else {
            Err(format!("{service:#}\n{}", server.log()))
        }
    })
}

/// Waits until the service that was deleted is over, and its name is free.
pub fn inactive(server: &Server) {
    eventually("the service to be INACTIVE", || {
        let service = service(server);
        if service["status"] == "INACTIVE" && tasks(server).is_empty() {
            Ok(())
        } else {
            Err(format!("{service:#}"))
        }
    });
}

pub fn kill_container(task: &Value) {
    let container = task["containers"][0]["runtimeId"].as_str().unwrap();
    docker(&["kill", container]).unwrap();
}

#[test]
fn a_service_is_kept_scaled_and_deleted() {
    let server = Server::start();
    server.register_workload("web", &["sleep"]);
    let answer = create(&server, &document(2, ""));
    assert_eq!(answer["serviceName"], "web", "{answer:#}");
    assert_eq!(answer["deployments"][0]["status"], "PRIMARY", "{answer:#}");
    let first = steady(&server, 2, "web:1");

    // A dead one is replaced, and the other one stays.
    kill_container(&first[0]);
    let dead = first[0]["taskId"].as_str().unwrap();
    let second = eventually("the dead task to be replaced", || {
        let now = steady(&server, 2, "web:1");
        if ids(&now).contains(dead) {
            Err(format!("{now:#?}"))
        } else {
            Ok(now)
        }
    });
    assert!(ids(&second).contains(first[1]["taskId"].as_str().unwrap()));

    let scale = |count: &str| {
        let cli = run(&server, &["service", "scale", "web", count, "--wait"]);
        assert_eq!(cli.ok(), "web", "{cli:#?}");
        steady(&server, count.parse().unwrap(), "web:1")
    };
    assert!(ids(&scale("3")).is_superset(&ids(&second)));
    assert!(scale("0").is_empty());
    scale("2");

    let (status, refused) = server.send("DELETE", "/v1/services/web", None, "");
    assert_eq!(status, 409, "{refused:#}");
    let (status, gone) = server.send("DELETE", "/v1/services/web?force=true", None, "");
    assert_eq!(status, 200, "{gone:#}");
    inactive(&server);
    server.wait_until_clean();
    // The name is free again.
    create(&server, &document(0, ""));
    steady(&server, 0, "web:1");
}

#[test]
fn a_new_revision_takes_over_without_ever_too_few_tasks() {
    let server = Server::start();
    server.register_workload("web", &["sleep"]);
    create(&server, &document(3, ""));
    let old = ids(&steady(&server, 3, "web:1"));
    server.register_workload("web", &["sleep"]);
    update(&server, &json!({ "taskDefinition": "web:2" }));
    let new = eventually("the new revision alone", || {
        let service = service(&server);
        let count = |field: &str| service[field].as_u64().unwrap();
        assert!(count("healthyCount") >= 3, "{service:#}");
        assert!(
            count("runningCount") + count("pendingCount") <= 6,
            "{service:#}"
        );
        let tasks = tasks(&server);
        if service["steady"] == true && service["deployments"].as_array().unwrap().len() == 1 {
            Ok(ids(&tasks))
        } else {
            Err(format!("{service:#}"))
        }
    });
    assert!(new.is_disjoint(&old) && new.len() == 3);
    let (_, history) = server.get("/v1/services/web/deployments");
    let states: Vec<_> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["status"].clone(), one["rolloutState"].clone()))
        .collect();
    let expected = [("PRIMARY", "COMPLETED"), ("INACTIVE", "COMPLETED")];
    assert_eq!(
        states,
        expected.map(|(status, state)| (json!(status), json!(state)))
    );

    // And back again, when a user says so.
    let cli = run(&server, &["service", "rollback", "web", "--wait"]);
    assert_eq!(cli.ok(), "web");
    steady(&server, 3, "web:1");
    server.send("DELETE", "/v1/services/web?force=true", None, "");
    server.wait_until_clean();
}

#[test]
fn a_bad_revision_is_rolled_back_with_the_reason() {
    let server = Server::start();
    server.register_workload("web", &["sleep"]);
    create(&server, &document(2, BREAKER));
    let before = ids(&steady(&server, 2, "web:1"));
    server.register(
        "family: web\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n\
         - {name: main, image: \"127.0.0.1:1/no/such:image\"}\n",
    );
    let args = [
        "service",
        "update",
        "web",
        "--task-definition",
        "web",
        "--wait",
    ];
    let cli = run(&server, &args);
    fails(
        &cli,
        1,
        &[
            "service web was rolled back to web:1",
            "circuit breaker: tasks failed to start",
            "127.0.0.1:1/no/such:image",
            "hint: how it gets on: neargate service describe web",
        ],
    );
    assert_eq!(ids(&steady(&server, 2, "web:1")), before, "they served on");
    let (_, history) = server.get("/v1/services/web/deployments");
    let failed = &history["items"][0];
    assert_eq!(failed["rolloutState"], "FAILED", "{history:#}");
    assert_eq!(failed["taskDefinition"], "web:2", "{history:#}");
    let reason = failed["lastFailure"]["reason"].as_str().unwrap();
    assert!(reason.contains("CannotPullContainerError"), "{history:#}");
    let back = &history["items"][1];
    assert_eq!(back["status"], "PRIMARY", "{history:#}");
    assert_eq!(back["cause"], "circuitBreaker", "{history:#}");
    server.send("DELETE", "/v1/services/web?force=true", None, "");
    server.wait_until_clean();
}

#[test]
fn a_deployment_goes_on_where_a_crash_has_left_it() {
    crate::harness::require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    server.boot();
    server.register_workload("web", &["sleep"]);
    create(&server, &document(2, ""));
    steady(&server, 2, "web:1");
    for revision in 2..5 {
        server.register_workload("web", &["sleep"]);
        update(&server, &json!({ "taskDefinition": "web" }));
        // Each time a little later in the deployment.
        std::thread::park_timeout(std::time::Duration::from_millis(150 * (revision - 2)));
        server.kill();
        server.boot();
        steady(&server, 2, &format!("web:{revision}"));
        let (_, history) = server.get("/v1/services/web/deployments");
        let number = history["items"].as_array().unwrap().len();
        assert_eq!(number as u64, revision, "{history:#}");
    }
    // Two tasks for each revision, and not one more.
    let (_, page) = server.get("/v1/tasks?serviceName=web&limit=1000");
    assert_eq!(page["items"].as_array().unwrap().len(), 8, "{page:#}");
    server.send("DELETE", "/v1/services/web?force=true", None, "");
    server.wait_until_clean();
}

#[test]
fn every_sample_of_a_service_can_be_created() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let server = Server::start();
    let definition = root.join("task-definitions/web.yaml");
    run(&server, &["register", definition.to_str().unwrap()]).ok();
    for entry in fs::read_dir(root.join("services")).unwrap() {
        let path = entry.unwrap().path();
        let cli = run(
            &server,
            &["service", "create", path.to_str().unwrap(), "--wait"],
        );
        let name = cli.ok().to_owned();
        assert!(!cli.stderr.contains("warning"), "{cli:#?}");
        run(&server, &["service", "delete", &name, "--force"]).ok();
    }
    server.wait_until_clean();
}

// --- on the simulated engine: what is said ---

pub fn sim() -> Server {
    let server = Server::start_sim();
    server.register_workload("web", &["sleep"]);
    server
}

#[test]
fn what_starts_and_then_exits_is_neither_called_complete_nor_takes_a_place() {
    let server = sim();
    create(&server, &document(2, BREAKER));
    let before = ids(&steady(&server, 2, "web:1"));
    server.register_workload("web", &["exit", "--after-ms", "300", "--code", "3"]);
    let args = [
        "service",
        "update",
        "web",
        "--task-definition",
        "web",
        "--wait",
    ];
    fails(
        &run(&server, &args),
        1,
        &["service web was rolled back to web:1"],
    );
    assert_eq!(ids(&steady(&server, 2, "web:1")), before, "they served on");

    // The same where there is nothing to go back to, and again for whoever asks later.
    let folder = server.folder().join("bad");
    fs::create_dir(&folder).unwrap();
    let other = document(1, BREAKER).replace("serviceName: web", "serviceName: other");
    fs::write(folder.join("other.yaml"), other).unwrap();
    let args = ["apply", "--wait", "-f", folder.to_str().unwrap()];
    for action in ["is created", "unchanged"] {
        let cli = run(&server, &args);
        assert_eq!(cli.stdout.trim_end(), format!("service other: {action}"));
        assert_eq!(cli.code, 1, "{cli:#?}");
        assert!(cli.stderr.contains("of web:2 has failed"), "{cli:#?}");
    }
}

#[test]
fn all_that_is_wrong_with_a_service_is_said_at_once() {
    let server = sim();
    let bad = "serviceName: we b\ntaskDefinition: web\ndesiredCount: -1\nminimumHealthyPercent: 50\n\
               deploymentConfiguration:\n  maximumPercent: 99\n  minimumHealthyPercent: 101\n\
               loadBalancers: [{containerName: main}]\n";
    let path = file(&server, "bad.yaml", bad);
    let cli = run(&server, &["service", "create", &path]);
    fails(
        &cli,
        1,
        &[
            "bad.yaml:1:1: serviceName: is `we b`, which is not a service name",
            "bad.yaml:3:1: desiredCount: is -1; it must be from 0 to 5000",
            "bad.yaml:4:1: minimumHealthyPercent: is not a known field",
            "bad.yaml:6:3: deploymentConfiguration.maximumPercent: is 99, and must be from 100 to 1000",
            "bad.yaml:7:3: deploymentConfiguration.minimumHealthyPercent: is 101, and may be 100 at most",
            "bad.yaml:8:1: loadBalancers: is not supported yet",
        ],
    );
    let misspelt = file(
        &server,
        "misspelt.yaml",
        "serviceName: web\ntaskDefinition: web\ndesiredcount: 2\n",
    );
    let cli = run(&server, &["service", "create", &misspelt]);
    fails(
        &cli,
        1,
        &["did you mean `desiredCount`?", "desiredCount: is missing"],
    );
    let many = file(&server, "many.yaml", &document(5_001, ""));
    let cli = run(&server, &["service", "create", &many]);
    fails(&cli, 1, &["is 5001; it must be from 0 to 5000"]);
}

#[test]
fn what_cannot_be_done_is_refused_with_the_way_out() {
    let server = sim();
    let good = file(&server, "good.yaml", &document(1, ""));
    let create = ["service", "create", good.as_str()];
    assert_eq!(run(&server, &create).ok(), "web");
    fails(
        &run(&server, &create),
        1,
        &[
            "service \"web\" exists already",
            "hint: change it: neargate service update web",
        ],
    );
    steady(&server, 1, "web:1");
    let fails_with = |args: &[&str], code, words: &[&str]| {
        fails(&run(&server, &[&["service"], args].concat()), code, words);
    };
    fails_with(
        &["delete", "web"],
        1,
        &[
            "service \"web\" still has 1 running task and",
            "hint: neargate service scale web 0, or delete with --force",
        ],
    );
    fails_with(
        &["scale", "web", "5001"],
        1,
        &["desiredCount: is 5001; it must be from 0 to 5000"],
    );
    fails_with(
        &["scale", "nobody", "1"],
        1,
        &[
            "service \"nobody\" in cluster \"default\" does not exist",
            "hint: neargate service ls",
        ],
    );
    fails_with(&["describe", "nobody"], 1, &["does not exist"]);
    fails_with(
        &["update", "web", "--task-definition", "web:9"],
        1,
        &["web:9"],
    );
    fails_with(
        &["update", "web"],
        2,
        &["nothing is to change about service web"],
    );
    fails_with(
        &["rollback", "web"],
        1,
        &[
            "has no earlier revision that was deployed completely",
            "hint: deploy a revision by name",
        ],
    );
    server.register_workload("web", &["sleep"]);
    run(&server, &["definitions", "deregister", "web:2"]).ok();
    fails_with(
        &["update", "web", "--task-definition", "web:2"],
        1,
        &[
            "task definition \"web:2\" is INACTIVE",
            "hint: deploy the newest active one: web",
        ],
    );
    run(&server, &["service", "delete", "web", "--force"]).ok();
    fails_with(
        &["scale", "web", "2"],
        1,
        &["service \"web\" is ", "hint: make it anew"],
    );
}

#[test]
fn a_protected_task_is_ended_neither_by_scaling_in_nor_by_a_deployment() {
    let server = sim();
    create(&server, &document(2, ""));
    let tasks_before = steady(&server, 2, "web:1");
    // The newest would be chosen.
    let id = tasks_before[0]["taskId"].as_str().unwrap().to_owned();
    assert!(tasks_before[0]["createdAt"].as_str() >= tasks_before[1]["createdAt"].as_str());
    let protect = |more: &[&str]| run(&server, &[&["protect", &id[..12]], more].concat());
    fails(
        &protect(&["--minutes", "2881"]),
        1,
        &["expiresInMinutes: is 2881; it must be from 1 to 2880"],
    );
    assert_eq!(protect(&["--minutes", "60"]).ok(), id);
    let page = run(&server, &["describe", &id]);
    assert!(page.ok().contains("Protected   until "), "{page:#?}");
    run(&server, &["service", "scale", "web", "1", "--wait"]).ok();
    assert_eq!(ids(&steady(&server, 1, "web:1")), [id.clone()].into());

    server.register_workload("web", &["sleep"]);
    update(&server, &json!({ "taskDefinition": "web:2" }));
    eventually("the new task beside the protected one", || {
        let there = tasks(&server);
        let is_new = |task: &Value| task["taskDefinition"] == "web:2";
        let runs = |task: &Value| task["lastStatus"] == "RUNNING";
        if there.len() == 2 && there.iter().any(is_new) && there.iter().all(runs) {
            Ok(())
        } else {
            Err(format!("{there:#?}"))
        }
    });
    assert_ne!(service(&server)["steady"], true);
    assert_eq!(protect(&["--off"]).ok(), id);
    steady(&server, 1, "web:2");
    fails(&protect(&[]), 1, &["ends or has ended"]);

    let alone = server.run("web");
    fails(
        &run(&server, &["protect", &alone]),
        1,
        &[
            "belongs to no service",
            "hint: a service's tasks are listed by",
        ],
    );
    let said = run(&server, &["events"]);
    assert!(said.ok().contains("Task is protected until "), "{said:#?}");
    assert!(
        said.ok().contains("Task is not protected any more."),
        "{said:#?}"
    );
}

#[test]
fn a_service_that_is_made_anew_has_nothing_of_the_one_before() {
    let server = sim();
    server.register_workload("web", &["sleep"]);
    let old = document(1, "").replace("taskDefinition: web", "taskDefinition: web:1");
    create(&server, &old);
    steady(&server, 1, "web:1");
    run(&server, &["service", "delete", "web", "--force"]).ok();
    inactive(&server);
    create(&server, &document(1, ""));
    steady(&server, 1, "web:2");
    let (_, history) = server.get("/v1/services/web/deployments");
    assert_eq!(history["items"].as_array().unwrap().len(), 1, "{history}");
    let rollback = run(&server, &["service", "rollback", "web"]);
    fails(
        &rollback,
        1,
        &["has no earlier revision that was deployed completely"],
    );
}

#[test]
fn bounds_that_leave_no_room_are_accepted_with_a_warning() {
    let server = sim();
    let stuck = "deploymentConfiguration: {minimumHealthyPercent: 100, maximumPercent: 100}\n";
    let path = file(&server, "stuck.yaml", &document(2, stuck));
    let cli = run(&server, &["service", "create", &path]);
    assert_eq!(cli.ok(), "web");
    assert!(
        cli.stderr
            .contains("warning: minimumHealthyPercent 100 and maximumPercent 100 leave no room"),
        "{cli:#?}"
    );
    steady(&server, 2, "web:1");
    let told = || {
        let cli = run(&server, &["events", "--subject", "web"]);
        let why = "(service web) minimumHealthyPercent 100 and maximumPercent 100 leave no room";
        cli.ok().matches(why).count()
    };
    assert_eq!(told(), 1, "when it was made");
    run(
        &server,
        &["service", "update", "web", "--force-new-deployment"],
    )
    .ok();
    assert_eq!(told(), 2, "and when a deployment begins that cannot go on");
    eventually("the sentence about what it waits for", || {
        let cli = run(&server, &["service", "explain", "web"]);
        if cli.ok().contains("leave no room to replace a task") {
            Ok(())
        } else {
            Err(cli.stdout)
        }
    });
    let cli = run(
        &server,
        &[
            "service",
            "update",
            "web",
            "--minimum-healthy-percent",
            "50",
            "--wait",
        ],
    );
    assert_eq!(cli.ok(), "web", "{cli:#?}");
    let shown = service(&server);
    let configuration = &shown["deploymentConfiguration"];
    assert_eq!(configuration["minimumHealthyPercent"], 50);
    assert_eq!(configuration["maximumPercent"], 100, "what is absent stays");
}

#[test]
fn a_service_is_shown_in_ecs_words() {
    let server = sim();
    let more =
        "platformVersion: LATEST\npropagateTags: SERVICE\ntags: [{key: team, value: shop}]\n";
    let path = file(&server, "web.yaml", &document(2, more));
    let cli = run(&server, &["service", "create", &path, "--wait"]);
    assert_eq!(cli.ok(), "web");
    assert!(
        cli.stderr
            .contains("warning: platformVersion: has no effect"),
        "{cli:#?}"
    );
    assert!(
        cli.stderr.contains("web: 2 of 2 tasks of web:1 running"),
        "{cli:#?}"
    );

    let shown = service(&server);
    assert_eq!(shown["cluster"], "default");
    assert_eq!(shown["status"], "ACTIVE");
    assert_eq!(shown["tags"], json!([{ "key": "team", "value": "shop" }]));
    let deployment = &shown["deployments"][0];
    assert_eq!(deployment["rolloutState"], "COMPLETED", "{shown:#}");
    assert_eq!(
        (&deployment["desiredCount"], &deployment["runningCount"]),
        (&json!(2), &json!(2))
    );
    let newest = &shown["events"][0]["message"];
    assert_eq!(newest, "(service web) has reached a steady state.");
    for task in tasks(&server) {
        assert_eq!(task["group"], "service:web");
        assert_eq!(task["startedBy"], deployment["id"]);
        assert_eq!(task["tags"], shown["tags"]);
    }
    let (_, page) = server.get("/v1/services?cluster=default");
    assert_eq!(page["items"][0]["serviceName"], "web", "{page:#}");
    let (status, refused) = server.get("/v1/tasks?serviceName=web&group=mine");
    assert_eq!(status, 400, "{refused:#}");

    let cli = run(&server, &["service", "ls"]);
    assert!(
        cli.ok().starts_with("SERVICE  STATUS  DEFINITION  DESIRED"),
        "{cli:#?}"
    );
    let cli = run(&server, &["service", "describe", "web"]);
    for words in [
        "2 desired, 2 running, 0 pending, 2 healthy",
        "COMPLETED",
        "has reached a steady state.",
    ] {
        assert!(cli.ok().contains(words), "{cli:#?}");
    }
    let cli = run(&server, &["service", "explain", "web"]);
    assert_eq!(cli.ok(), "it is in a steady state and waits for nothing");
    let cli = run(&server, &["events", "--subject", "web"]);
    assert!(
        cli.ok()
            .contains("(service web) has reached a steady state."),
        "{cli:#?}"
    );
    let first = tasks(&server).pop().unwrap();
    let named = format!("(task {})", first["taskId"].as_str().unwrap());
    let told: Vec<&str> = cli
        .stdout
        .lines()
        .filter(|line| line.contains(&named))
        .collect();
    assert!(
        told[0].contains("(service web) has started 2 tasks: (task "),
        "{cli:#?}"
    );
    let cli = run(&server, &["ps", "--service", "web", "--quiet"]);
    assert_eq!(cli.ok().lines().count(), 2);
    for args in [
        ["service", "ls"].as_slice(),
        &["service", "describe", "web"],
    ] {
        let said = run(&server, &[args, &["--output", "json"]].concat());
        let said: Value = serde_json::from_str(said.ok()).unwrap();
        assert!(said.to_string().contains("ecs-svc/"), "{said:#}");
        let said = run(&server, &[args, &["--output", "yaml"]].concat());
        assert!(said.ok().contains("serviceName: web"), "{said:#?}");
    }
}

#[test]
fn the_cluster_that_is_named_besides_is_where_a_service_is_made() {
    let server = sim();
    run(&server, &["clusters", "create", "staging"]).ok();
    let path = file(&server, "web.yaml", &document(1, ""));
    let args = ["--cluster", "staging", "service", "create", &path, "--wait"];
    run(&server, &args).ok();
    let shown = run(&server, &["--cluster", "staging", "service", "ls"]);
    assert!(shown.ok().contains("web:1"), "{shown:#?}");
    let path = file(&server, "other.yaml", &document(1, "cluster: default\n"));
    let args = ["--cluster", "staging", "service", "create", &path];
    fails(
        &run(&server, &args),
        1,
        &["cluster: is `default`, but `staging` was named besides"],
    );
}

#[test]
fn apply_shows_what_changes_and_changes_nothing_twice() {
    let server = Server::start_sim();
    let folder = server.folder().join("shop");
    fs::create_dir(&folder).unwrap();
    let definition = |code: &str| {
        let text =
            crate::cli::definition("web", "neargate/workload", &[("main", &["sleep", code])]);
        fs::write(folder.join("task.yaml"), text).unwrap();
    };
    definition("--term-code=1");
    fs::write(folder.join("a-service.yaml"), document(1, "")).unwrap();
    let folder_name = folder.to_str().unwrap().to_owned();
    let apply = |more: &[&str]| {
        let cli = run(&server, &[&["apply", "-f", &folder_name], more].concat());
        cli.ok().to_owned()
    };
    let created = "task definition web: is registered\nservice web: is created";
    assert_eq!(apply(&["--dry-run"]), created);
    assert_eq!(server.get("/v1/services/web").0, 404, "nothing was done");
    assert_eq!(apply(&["--wait"]), created);
    steady(&server, 1, "web:1");
    let same = "task definition web: unchanged\nservice web: unchanged";
    assert_eq!(apply(&[]), same);
    // What is like its document already may be on its way, and is waited for all the same.
    run(&server, &["service", "scale", "web", "0", "--wait"]).ok();
    run(&server, &["service", "scale", "web", "1"]).ok();
    assert_eq!(apply(&["--wait"]), same);
    assert_eq!(service(&server)["steady"], true);

    definition("--term-code=2");
    fs::write(
        folder.join("a-service.yaml"),
        document(
            2,
            "propagateTags: SERVICE\nenableECSManagedTags: true\nenableExecuteCommand: true\n",
        ),
    )
    .unwrap();
    let changed = apply(&["--dry-run"]);
    for line in [
        "  ~ propagateTags: NONE -> SERVICE",
        "  ~ enableECSManagedTags: false -> true",
        "  ~ enableExecuteCommand: false -> true",
        "  ~ containerDefinitions[0].command[1]: --term-code=1 -> --term-code=2",
        "  ~ desiredCount: 1 -> 2",
        "  ~ taskDefinition: web:1 -> the new revision of web",
    ] {
        assert!(changed.contains(line), "no `{line}` in {changed}");
    }
    assert!(apply(&["--wait"]).contains("~ taskDefinition: web:1 -> web:2"));
    steady(&server, 2, "web:2");
    assert_eq!(apply(&[]), same);

    // One faulty document, and nothing is changed.
    definition("--term-code=3");
    fs::write(
        folder.join("a-service.yaml"),
        document(2, "desireCount: 3\n"),
    )
    .unwrap();
    let cli = run(&server, &["apply", "-f", &folder_name]);
    fails(
        &cli,
        1,
        &["a-service.yaml:4:1: desireCount: is not a known field"],
    );
    assert_eq!(server.get("/v1/task-definitions/web:3").0, 404);
}

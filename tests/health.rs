//! Health checks that fail or hang, and containers that somebody froze: the task says so, and goes on or ends as
//! it is told, and so does everything else.

use serde_json::Value;

use crate::harness::{Server, docker, eventually, workload};

/// A definition whose only container runs `command` and is asked by `check`, every 5 s and not more than once.
fn checked(family: &str, command: &str, check: &str) -> String {
    format!(
        "family: {family}\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n  - name: main\n    image: {}\n    \
         command: {command}\n    stopTimeout: 2\n    healthCheck: {{command: {check}, interval: 5, timeout: 2, retries: 1}}\n",
        workload()
    )
}

const SICK: &str = "[serve, --fail-health-after-ms, '1']";

fn until(server: &Server, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || {
        let task = server.task(id);
        if is_so(&task) {
            Ok(task)
        } else {
            Err(format!("{task:#}\n{}", server.log()))
        }
    })
}

fn unhealthy(server: &Server, id: &str) -> Value {
    until(server, id, "the task to be UNHEALTHY", |task| {
        task["healthStatus"] == "UNHEALTHY"
    })
}

fn reason(task: &Value) -> &str {
    task["containers"][0]["reason"].as_str().unwrap_or_default()
}

#[test]
fn what_a_failing_check_said_is_shown_and_kept_after_the_container_is_gone() {
    let server = Server::start();
    server.register(&checked("sick", SICK, "[CMD, /workload, health]"));
    let id = server.run("sick");
    let task = unhealthy(&server, &id);
    assert_eq!(task["lastStatus"], "RUNNING", "{task:#}");
    assert!(
        reason(&task).starts_with("health check failed: "),
        "{task:#}"
    );
    assert!(reason(&task).contains("answered 503"), "{task:#}");
    server.stop(&id);
    server.wait_for(&id, "STOPPED");
    server.wait_until_clean();
    let task = server.task(&id);
    assert_eq!(task["containers"][0]["healthStatus"], "UNHEALTHY");
    assert!(reason(&task).contains("answered 503"), "{task:#}");
    let described = server.cli(&["describe", &id]);
    let (said, reason) = (described.ok(), "main: health check failed: ");
    assert!(
        said.contains(reason) && said.contains("answered 503"),
        "{said}"
    );
}

#[test]
fn when_a_task_became_healthy_is_a_step_of_its_life() {
    let server = Server::start();
    server.register(&checked("well", "[serve]", "[CMD, /workload, health]"));
    let id = server.run("well");
    let task = until(&server, &id, "the task to be HEALTHY", |task| {
        task["healthStatus"] == "HEALTHY"
    });
    // Both are written with the same digits.
    let at = |step: &str| task[step].as_str().unwrap_or_default().to_owned();
    assert!(
        at("healthyAt") >= at("startedAt") && at("startedAt") > at("createdAt"),
        "{task:#}"
    );
    let described = server.cli(&["describe", &id]);
    assert!(
        described
            .ok()
            .contains(&format!("healthy       {}", at("healthyAt"))),
        "{described:#?}"
    );
    server.stop(&id);
    let ended = server.wait_for(&id, "STOPPED");
    assert_eq!(ended["healthyAt"], task["healthyAt"], "it is kept");
    server.wait_until_clean();
}

#[test]
fn a_task_that_its_service_replaces_for_its_health_says_what_the_check_said() {
    let server = Server::start();
    server.register(&checked("sick", SICK, "[CMD, /workload, health]"));
    let document = "serviceName: sick\ntaskDefinition: sick\ndesiredCount: 1\n";
    let (status, answer) = server.send(
        "POST",
        "/v1/services",
        Some(document.to_owned()),
        "application/yaml",
    );
    assert_eq!(status, 201, "{answer:#}");
    let stopped = eventually("a task to be replaced", || {
        let page = server.get("/v1/tasks?lastStatus=STOPPED").1;
        let first = page["items"].as_array().and_then(|tasks| tasks.first());
        first.cloned().ok_or(format!("{page:#}"))
    });
    let said = stopped["stoppedReason"].as_str().unwrap_or_default();
    assert!(
        said.starts_with("Task failed container health checks: main: health check failed: ")
            && said.contains("answered 503"),
        "{stopped:#}"
    );
    assert_eq!(
        stopped["stopCode"], "ServiceSchedulerInitiated",
        "{stopped:#}"
    );
}

#[test]
fn a_health_check_that_hangs_is_a_failed_one_and_holds_nobody_up() {
    let server = Server::start();
    server.register(&checked("stuck", "[sleep]", "[CMD, /workload, sleep]"));
    server.register_workload("quick", &["exit", "--code", "5"]);
    let id = server.run("stuck");
    server.wait_for(&id, "RUNNING");
    let other = server.wait_for(&server.run("quick"), "STOPPED");
    assert_eq!(other["containers"][0]["exitCode"], 5, "{other:#}");
    let task = unhealthy(&server, &id);
    assert_eq!(task["lastStatus"], "RUNNING", "{task:#}");
    assert!(reason(&task).contains("exceeded timeout"), "{task:#}");
    server.stop(&id);
    server.wait_for(&id, "STOPPED");
    server.wait_until_clean();
}

#[test]
fn a_dependency_that_never_gets_healthy_says_why_when_its_start_timeout_has_passed() {
    let server = Server::start();
    server.register(&format!(
        "family: waits\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n  - name: db\n    image: {0}\n    \
         command: {SICK}\n    stopTimeout: 2\n    startTimeout: 12\n    \
         healthCheck: {{command: [CMD, /workload, health], interval: 5, timeout: 2, retries: 10}}\n  \
         - name: web\n    image: {0}\n    command: [sleep]\n    dependsOn: [{{containerName: db, condition: HEALTHY}}]\n",
        workload()
    ));
    let task = server.wait_for(&server.run("waits"), "STOPPED");
    let said = task["stoppedReason"].as_str().unwrap_or_default();
    assert!(
        said.contains("its startTimeout has passed") && said.contains("answered 503"),
        "{task:#}"
    );
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task:#}");
    server.wait_until_clean();
}

#[test]
fn a_paused_container_is_said_to_be_and_can_be_let_go_on_or_stopped() {
    let server = Server::start();
    server.register_workload("sleep", &["sleep", "--term-code", "6"]);
    let id = server.run("sleep");
    let before = server.wait_for(&id, "RUNNING");
    let container = before["containers"][0]["runtimeId"].as_str().unwrap();
    let waits = |task: &Value| task["waitingFor"].as_str().unwrap_or_default().to_owned();

    docker(&["pause", container]).unwrap();
    let paused = until(&server, &id, "the pause to be said", |task| {
        waits(task).contains("was paused by somebody other than Neargate")
    });
    assert_eq!(paused["lastStatus"], "RUNNING", "{paused:#}");
    let unpause = format!("docker unpause {}", &container[..12]);
    assert!(waits(&paused).contains(&unpause), "{paused:#}");
    let described = server.cli(&["describe", &id]);
    assert!(described.ok().contains(&unpause), "{described:#?}");

    docker(&["unpause", container]).unwrap();
    until(&server, &id, "nothing to be waited for", |task| {
        waits(task).is_empty()
    });

    docker(&["pause", container]).unwrap();
    until(&server, &id, "the second pause to be said", |task| {
        !waits(task).is_empty()
    });
    server.stop(&id);
    let task = server.wait_for(&id, "STOPPED");
    // It got its signal and obeyed it, within its stop timeout.
    assert_eq!(task["containers"][0]["exitCode"], 6, "{task:#}");
    assert_eq!(task["stopCode"], "UserInitiated", "{task:#}");
    server.wait_until_clean();
}

#[test]
fn a_paused_container_that_is_deaf_is_killed() {
    let server = Server::start();
    server.register_workload("deaf", &["ignore-sigterm"]);
    let id = server.run("deaf");
    let before = server.wait_for(&id, "RUNNING");
    docker(&[
        "pause",
        before["containers"][0]["runtimeId"].as_str().unwrap(),
    ])
    .unwrap();
    server.stop(&id);
    let task = server.wait_for(&id, "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 137, "{task:#}");
    assert_eq!(task["stopCode"], "UserInitiated", "{task:#}");
    server.wait_until_clean();
}

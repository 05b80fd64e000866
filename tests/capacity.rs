//! What the host has: no task is handed to the engine that it has no room for.

use serde_json::json;

use crate::harness::{Server, docker, eventually, workload};

/// A family whose task needs so many MiB.
fn register(server: &Server, family: &str, memory_mib: u64) {
    server.register(&format!(
        "family: {family}\ncontainerDefinitions:\n  - name: main\n    image: {}\n    memory: {memory_mib}\n    \
         command: [sleep]\n",
        workload()
    ));
}

fn host_mib() -> u64 {
    let said = docker(&["info", "--format", "{{.MemTotal}}"]).unwrap();
    said.trim().parse::<u64>().unwrap() / 1_048_576
}

#[test]
fn a_task_waits_until_the_host_has_room_and_waiting_is_free() {
    let server = Server::start();
    // Two of these are more than the host.
    let most = host_mib() * 6 / 10;
    register(&server, "large", most);
    register(&server, "small", 16);
    let first = server.run("large");
    server.wait_for(&first, "RUNNING");
    let second = server.run("large");
    eventually("the second one to say what it waits for", || {
        let task = server.task(&second);
        let waiting = task["waitingFor"].as_str().unwrap_or_default().to_owned();
        let digits = waiting.replace(',', "");
        if digits.contains(&format!("memory: {most} MiB needed")) {
            Ok(())
        } else {
            Err(format!("{task:#}"))
        }
    });
    assert_eq!(server.task(&second)["lastStatus"], "PROVISIONING");
    let (status, _) = server.get(&format!("/v1/tasks/{second}/usage"));
    assert_eq!(status, 404, "nothing was reserved yet");

    // What fits is not held up by what does not.
    let small = server.run("small");
    server.wait_for(&small, "RUNNING");
    server.cli(&["stop", &first, "--wait"]).ok();
    server.wait_for(&second, "RUNNING");
    server.cli(&["stop", &second, &small, "--wait"]).ok();
    server.wait_until_clean();
}

#[test]
fn a_task_that_never_fits_is_refused_at_once() {
    let server = Server::start();
    register(&server, "huge", host_mib() * 2);
    // What an engine has is known as soon as it has answered.
    eventually("the engine to answer", || match server.get("/readyz") {
        (200, _) => Ok(()),
        (_, ready) => Err(format!("{ready:#}")),
    });
    let (status, answer) = server.post("/v1/tasks", &json!({ "taskDefinition": "huge" }));
    let said = answer.to_string();
    assert!(
        status == 409 && said.contains("RESOURCE:MEMORY"),
        "{status} {said}"
    );
    let (_, page) = server.get("/v1/tasks");
    assert_eq!(page["items"], json!([]), "nothing was recorded");
}

//! An ordinary day: the engine is restarted while tasks run, with live-restore and without it.

use serde_json::Value;

use crate::harness::{OwnEngine, Server, eventually};

fn server_on(engine: &OwnEngine) -> Server {
    let mut server = Server::prepare(&["--warm-sandboxes", "1"]);
    server.env("DOCKER_HOST", &engine.host());
    server.boot();
    server
}

fn until_engine_is(server: &Server, state: &str) {
    eventually(&format!("the engine to be {state}"), || {
        let ready = server.get("/readyz").1;
        if ready["engine"]["state"] == state {
            Ok(())
        } else {
            Err(format!("{ready:#}\n{}", server.log()))
        }
    });
}

/// The states that the events tell of, in order.
fn states(server: &Server, task: &str) -> Vec<String> {
    let page = server
        .get(&format!("/v1/events?subject={task}&limit=1000"))
        .1;
    let events = page["items"]
        .as_array()
        .unwrap_or_else(|| panic!("{page:#}"));
    let mut events: Vec<&Value> = events.iter().collect();
    events.sort_by_key(|event| event["seq"].as_u64());
    let status = |event: &&Value| event["status"].as_str().map(str::to_owned);
    events.iter().filter_map(status).collect()
}

#[test]
fn with_live_restore_tasks_run_through_a_restart_of_the_engine() {
    let mut engine = OwnEngine::start(true);
    let server = server_on(&engine);
    server.register_workload("sleep", &["sleep", "--term-code", "6"]);
    let id = server.run("sleep");
    let before = server.wait_for(&id, "RUNNING");
    let process = |engine: &OwnEngine| {
        let name = format!("neargate-{id}-main");
        let format = "{{.State.Pid}} {{.State.StartedAt}}";
        engine.docker(&["inspect", "--format", format, &name])
    };
    let process_before = process(&engine).unwrap();
    engine.shut_down();
    until_engine_is(&server, "away");
    assert_eq!(server.task(&id)["lastStatus"], "RUNNING");
    engine.boot();
    until_engine_is(&server, "ok");
    assert_eq!(process(&engine).unwrap(), process_before);
    // The next task shows that everything was looked at anew.
    server.register_workload("quick", &["exit", "--code", "3"]);
    let quick = server.wait_for(&server.run("quick"), "STOPPED");
    assert_eq!(quick["containers"][0]["exitCode"], 3, "{quick:#}");
    let after = server.task(&id);
    assert_eq!(before["containers"], after["containers"], "{after:#}");
    assert_eq!(before["startedAt"], after["startedAt"], "{after:#}");
    let lived = states(&server, &id);
    assert_eq!(
        lived.last().map(String::as_str),
        Some("RUNNING"),
        "{lived:?}"
    );
    server.stop(&id);
    let stopped = server.wait_for(&id, "STOPPED");
    assert_eq!(stopped["containers"][0]["exitCode"], 6, "{stopped:#}");
}

#[test]
fn without_live_restore_tasks_end_with_the_engine_and_say_how() {
    let mut engine = OwnEngine::start(false);
    let server = server_on(&engine);
    server.register_workload("sleep", &["sleep", "--term-code", "6"]);
    let id = server.run("sleep");
    server.wait_for(&id, "RUNNING");
    engine.shut_down();
    until_engine_is(&server, "away");
    assert_eq!(
        server.task(&id)["lastStatus"],
        "RUNNING",
        "silence of the engine is not the end of a task"
    );
    engine.boot();
    let task = server.wait_for(&id, "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 6, "{task:#}");
    assert_eq!(task["stopCode"], "EssentialContainerExited", "{task:#}");
    assert_eq!(task["usage"]["endEvidence"], "engine", "{task:#}");
    let next = server.run("sleep");
    server.wait_for(&next, "RUNNING");
    server.stop(&next);
    server.wait_for(&next, "STOPPED");
}

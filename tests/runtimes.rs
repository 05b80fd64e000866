//! Tasks under another runtime than the engine's default, on the real engine.
//!
//! Every Docker engine has `io.containerd.runc.v2` beside `runc`: the same program under another name, which is all
//! that can be had everywhere. That a runtime isolates is that runtime's own affair.

use serde_json::{Value, json};

use crate::harness::{Server, docker, eventually, require_engine, workload};

const OTHER: &str = "io.containerd.runc.v2";

fn server_with(config: &str) -> Server {
    require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "1"]);
    let path = server.folder().join("neargate.toml");
    std::fs::write(&path, config).unwrap();
    server.env("NEARGATE_CONFIG", path.to_str().unwrap());
    server.boot();
    // Which runtimes there are is known once the engine has answered.
    eventually("the engine to have answered", || {
        match server.get("/readyz") {
            (200, _) => Ok(()),
            (_, answer) => Err(answer.to_string()),
        }
    });
    server
}

/// A definition of so many containers that sleep, with this line.
fn definition(line: &str, containers: usize) -> String {
    let containers: Vec<String> = (0..containers)
        .map(|index| {
            let image = workload();
            format!("  - {{name: c{index}, image: {image}, command: [sleep], stopTimeout: 1}}\n")
        })
        .collect();
    format!(
        "family: other\ncpu: 256\nmemory: 512\n{line}\ncontainerDefinitions:\n{}",
        containers.concat()
    )
}

fn runtime_of(name: &str) -> Result<String, String> {
    docker(&["inspect", "--format", "{{.HostConfig.Runtime}}", name])
}

fn run(server: &Server, body: &Value) -> (u16, Value) {
    server.post("/v1/tasks", body)
}

#[test]
fn a_runtime_of_the_engine_is_used_and_another_one_is_refused_with_those_that_there_are() {
    let server = server_with("");
    let yaml = definition("runtime: kata", 1);
    let (code, problem) = server.send(
        "POST",
        "/v1/task-definitions",
        Some(yaml),
        "application/yaml",
    );
    assert_eq!(code, 400, "{problem:#}");
    let text = problem.to_string();
    assert!(
        text.contains("the engine has no runtime `kata`; it has: "),
        "{text}"
    );
    assert!(text.contains(OTHER) && text.contains("runc"), "{text}");

    server.register(&definition("", 1));
    let asks =
        |runtime: &str| json!({ "taskDefinition": "other", "overrides": { "runtime": runtime } });
    let (code, problem) = run(&server, &asks("kata"));
    assert_eq!(code, 400, "{problem:#}");
    assert!(
        problem.to_string().contains("overrides.runtime"),
        "{problem:#}"
    );
    let (code, problem) = run(&server, &asks("../runc"));
    assert_eq!(code, 400, "{problem:#}");
    assert!(
        problem.to_string().contains("which is not a runtime"),
        "{problem:#}"
    );

    let task = server
        .cli(&["run", "other", "--runtime", OTHER])
        .ok()
        .to_owned();
    let seen = server.wait_for(&task, "RUNNING");
    assert!(seen["address"].is_string(), "{seen:#}");
    assert_eq!(runtime_of(&format!("neargate-{task}-c0")).unwrap(), OTHER);
    assert!(
        runtime_of(&format!("neargate-{task}")).is_err(),
        "it owns its namespace itself, whether a sandbox is ready or not"
    );
    let plain = server.run("other");
    server.wait_for(&plain, "RUNNING");
    assert_eq!(runtime_of(&format!("neargate-{plain}-c0")).unwrap(), "runc");

    // Several containers share a namespace, which the engine's own runtime holds.
    server.register(&definition(&format!("runtime: {OTHER}"), 2));
    let two = server.run("other");
    server.wait_for(&two, "RUNNING");
    for container in ["c0", "c1"] {
        assert_eq!(
            runtime_of(&format!("neargate-{two}-{container}")).unwrap(),
            OTHER
        );
    }
    assert_eq!(runtime_of(&format!("neargate-{two}")).unwrap(), "runc");
    for task in [task, plain, two] {
        server.stop(&task);
    }
}

#[test]
fn a_cluster_has_the_runtime_that_the_operator_has_set_for_it() {
    let server = server_with(&format!(
        "[cluster_runtimes]\nsecure = \"{OTHER}\"\nbroken = \"kata\"\n"
    ));
    for cluster in ["secure", "broken"] {
        server.cli(&["clusters", "create", cluster]).ok();
    }
    server.register(&definition("", 1));
    let run_in = |cluster: &str, overrides: Value| {
        let body = json!({ "taskDefinition": "other", "cluster": cluster, "overrides": overrides });
        let (code, answer) = run(&server, &body);
        assert_eq!(code, 201, "{answer:#}");
        answer["tasks"][0]["taskId"].as_str().unwrap().to_owned()
    };
    let elsewhere = run_in("default", json!({}));
    let secure = run_in("secure", json!({}));
    let own = run_in("secure", json!({ "runtime": "runc" }));
    for (task, expected) in [(&elsewhere, "runc"), (&secure, OTHER), (&own, "runc")] {
        server.wait_for(task, "RUNNING");
        assert_eq!(
            runtime_of(&format!("neargate-{task}-c0")).unwrap(),
            expected
        );
        server.stop(task);
    }
    let broken = run_in("broken", json!({}));
    let task = server.wait_for(&broken, "STOPPED");
    let reason = task["stoppedReason"].as_str().unwrap();
    assert!(
        reason
            .starts_with("CannotCreateContainerError: the engine has no runtime `kata`; it has: "),
        "{reason}"
    );
}

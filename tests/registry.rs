//! Pulls from a real registry on loopback, with and without a password. Skipped, with the reason, where
//! docker-registry can be neither found nor installed.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Registry, Relay, Server, docker, eventually};
use crate::service::{create, document, steady, update};

fn definition(family: &str, image: &str, more: &str) -> String {
    format!(
        "family: {family}\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n  - name: main\n    image: {image}\n    \
         stopTimeout: 1\n    command: [sleep]\n{more}"
    )
}

fn server_with(config: &str) -> Server {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), config).unwrap();
    let mut server = Server::prepare(&[
        "--warm-sandboxes",
        "0",
        "--config",
        &file.path().display().to_string(),
    ]);
    server.env("NEARGATE_LOG", "trace");
    server.boot();
    server
}

fn run(server: &Server, family: &str, status: &str) -> Value {
    let task = server.run(family);
    let task = server.wait_for(&task, status);
    assert_eq!(task["lastStatus"], status, "{task:#}\n{}", server.log());
    task
}

fn digest(task: &Value) -> &str {
    task["containers"][0]["imageDigest"]
        .as_str()
        .unwrap_or_default()
}

fn put_login(server: &Server, name: &str, password: &str) {
    let login = json!({ "username": "ann", "password": password });
    let path = format!("/v1/secrets/{name}");
    let (status, answer) = server.send("PUT", &path, Some(login.to_string()), "application/json");
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn an_image_comes_from_a_public_registry_once_for_all_who_wait() {
    let Some(registry) = Registry::start(false) else {
        return;
    };
    let pushed = registry.push("app:1", 4 << 20);
    let server = server_with("");
    let image = format!("{}/app:1", registry.host());
    server.register(&definition("app", &image, ""));
    let (status, answer) =
        server.post("/v1/tasks", &json!({ "taskDefinition": "app", "count": 5 }));
    assert_eq!(status, 201, "{answer:#}");
    for task in answer["tasks"].as_array().unwrap() {
        let task = server.wait_for(task["taskId"].as_str().unwrap(), "RUNNING");
        assert_eq!(
            (&task["lastStatus"], digest(&task)),
            (&json!("RUNNING"), pushed.as_str()),
            "{task:#}"
        );
    }
    // As often as for one pull by hand.
    let asked = registry.asked_for("app", "1");
    registry.push("other:1", 0);
    docker(&["pull", "--quiet", &format!("{}/other:1", registry.host())]).unwrap();
    assert_eq!(asked, registry.asked_for("other", "1"));
    assert!(asked > 0);

    let missing = format!("{}/app:2", registry.host());
    server.register(&definition("gone", &missing, ""));
    let stopped = run(&server, "gone", "STOPPED");
    let reason = stopped["stoppedReason"].as_str().unwrap();
    assert!(
        reason.starts_with("CannotPullContainerError: ") && reason.contains("not found"),
        "{reason}"
    );
    assert_eq!(stopped["stopCode"], "TaskFailedToStart");
}

#[test]
fn a_private_registry_lets_in_who_has_the_password() {
    let Some(registry) = Registry::start(true) else {
        return;
    };
    for name in ["own:1", "ours:1"] {
        registry.push(name, 0);
    }
    let host = registry.host();
    let server = server_with(&format!(
        "[registry_logins]\n\"{host}\" = \"operators/login\"\n"
    ));
    let own = "    repositoryCredentials: {credentialsParameter: \"arn:aws:secretsmanager:us-east-1:1:secret:login\"}\n";
    server.register(&definition("own", &format!("{host}/own:1"), own));
    server.register(&definition("ours", &format!("{host}/ours:1"), ""));

    let stopped = run(&server, "own", "STOPPED");
    let reason = stopped["stoppedReason"].as_str().unwrap();
    assert!(
        reason.starts_with("ResourceInitializationError: ")
            && reason.contains("\"login\" does not exist"),
        "{reason}"
    );

    put_login(&server, "login", "wrong horse");
    let stopped = run(&server, "own", "STOPPED");
    let reason = stopped["stoppedReason"].as_str().unwrap();
    assert!(
        reason.starts_with("CannotPullContainerError: ") && reason.contains("unauthorized"),
        "{reason}"
    );

    put_login(&server, "login", "open sesame");
    run(&server, "own", "RUNNING");
    put_login(&server, "operators%2Flogin", "open sesame");
    run(&server, "ours", "RUNNING");

    let (_, events) = server.get("/v1/events?limit=1000");
    for text in [server.log(), events.to_string()] {
        assert!(
            !text.contains("sesame") && !text.contains("wrong horse"),
            "{text}"
        );
        assert!(!text.contains("X-Registry-Auth"), "{text}");
    }
}

#[test]
fn a_tag_is_resolved_once_for_a_task_and_recorded() {
    let Some(registry) = Registry::start(false) else {
        return;
    };
    let first = registry.push("moving:1", 0);
    let image = format!("{}/moving:1", registry.host());
    let server = server_with("image_pull_behavior = \"always\"");
    let waits = format!(
        "  - name: later\n    image: {image}\n    stopTimeout: 1\n    command: [sleep]\n    \
         dependsOn: [{{containerName: gate, condition: COMPLETE}}]\n  - name: gate\n    image: {}/gate:1\n    \
         essential: false\n    stopTimeout: 1\n    command: [sleep]\n",
        registry.host()
    );
    registry.push("gate:1", 0);
    server.register(&definition("moving", &image, &waits));
    let task = server.run("moving");
    eventually("the first containers to run", || {
        let task = server.task(&task);
        let runs = task["containers"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["lastStatus"] == "RUNNING")
            .count();
        if runs == 2 {
            Ok(())
        } else {
            Err(format!("{task:#}\n{}", server.log()))
        }
    });
    // The tag moves while the second container waits.
    let second = registry.push("moving:1", 0);
    assert_ne!(first, second);
    docker(&["pull", "--quiet", &image]).unwrap();
    docker(&["kill", &format!("neargate-{task}-gate")]).unwrap();
    let running = server.wait_for(&task, "RUNNING");
    let digests: Vec<_> = running["containers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["name"] != "gate")
        .map(|one| one["imageDigest"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(digests, [first.clone(), first.clone()], "{running:#}");
    let actual = docker(&[
        "inspect",
        "--format",
        "{{.Image}}",
        &format!("neargate-{task}-main"),
    ])
    .unwrap();
    let later = docker(&[
        "inspect",
        "--format",
        "{{.Image}}",
        &format!("neargate-{task}-later"),
    ])
    .unwrap();
    assert_eq!(actual, later);

    // A new task means what the tag means now.
    let next = server.run("moving");
    eventually("the next task to have the new image", || {
        let task = server.task(&next);
        if digest(&task) == second {
            Ok(())
        } else {
            Err(format!("{task:#}"))
        }
    });
}

#[test]
fn the_image_that_is_there_is_used_as_the_operator_wants() {
    let Some(registry) = Registry::start(false) else {
        return;
    };
    let first = registry.push("app:1", 0);
    let image = format!("{}/app:1", registry.host());
    docker(&["pull", "--quiet", &image]).unwrap();
    let second = registry.push("app:1", 0);
    // The engine has the first one under the tag again, the registry the second one.
    docker(&[
        "pull",
        "--quiet",
        &format!("{}/app@{first}", registry.host()),
    ])
    .unwrap();
    docker(&["tag", &format!("{}/app@{first}", registry.host()), &image]).unwrap();
    for (behavior, expected) in [
        ("prefer-cached", &first),
        ("once", &second),
        ("default", &second),
    ] {
        let server = server_with(&format!("image_pull_behavior = \"{behavior}\""));
        server.register(&definition("app", &image, ""));
        let task = run(&server, "app", "RUNNING");
        assert_eq!(digest(&task), expected, "{behavior}");
    }
    drop(registry);
}

#[test]
fn a_registry_that_stalls_in_the_middle_of_a_layer_stops_its_own_task_alone() {
    let Some(registry) = Registry::start(false) else {
        return;
    };
    registry.push("stalled:1", 16 << 20);
    let relay = Relay::before(registry.port());
    let server = server_with("image_pull_inactivity_timeout_s = 5");
    let image = format!("{}/stalled:1", relay.host());
    relay.stall_after(4 << 20);
    server.register(&definition("stalled", &image, ""));
    let task = server.run("stalled");
    eventually("the progress of the pull to be seen", || {
        let task = server.task(&task);
        match task["pull"]["currentBytes"].as_u64() {
            Some(1..) => Ok(()),
            _ => Err(format!("{task:#}")),
        }
    });
    server.register_workload("other", &["sleep"]);
    run(&server, "other", "RUNNING");
    let stopped = server.wait_for(&task, "STOPPED");
    let reason = stopped["stoppedReason"].as_str().unwrap();
    assert!(
        reason.starts_with("CannotPullContainerError: ") && reason.contains("5000 ms"),
        "{reason}"
    );

    relay.stall_after(u64::MAX);
    run(&server, "stalled", "RUNNING");
    docker(&["image", "rm", "--force", &image]).unwrap();
}

fn is_there(image: &str) -> bool {
    docker(&["image", "inspect", "--format", "{{.Id}}", image]).is_ok()
}

fn until_gone(server: &Server, image: &str) {
    eventually(&format!("{image} to be removed"), || {
        if is_there(image) {
            Err(server.log())
        } else {
            Ok(())
        }
    });
}

#[test]
fn unused_images_go_but_never_what_a_service_may_go_back_to_or_what_the_user_pulled() {
    let Some(registry) = Registry::start(false) else {
        return;
    };
    let image = |name: &str| format!("{}/{name}", registry.host());
    let all = ["mine:1", "web:1", "web:2", "job:1"].map(|name| {
        registry.push(name, 0);
        image(name)
    });
    let [mine, first, second, job] = &all;
    docker(&["pull", "--quiet", mine]).unwrap();
    let server = server_with("image_cleanup_unused_hours = 0");
    let run_to_end = |family: &str, image: &str| {
        let once = definition(family, image, "").replace("[sleep]", "[exit]");
        server.register(&once);
        run(&server, family, "STOPPED");
    };
    run_to_end("mine", mine);
    server.register(&definition("web", first, ""));
    create(&server, &document(1, ""));
    steady(&server, 1, "web:1");
    server.register(&definition("web", second, ""));
    update(&server, &json!({ "taskDefinition": "web:2" }));
    steady(&server, 1, "web:2");

    // When this one has gone, the others were looked at as well.
    run_to_end("job", job);
    until_gone(&server, job);
    assert!(is_there(mine), "it is the user's");
    assert!(is_there(first), "the service may go back to it");
    let asked = registry.asked_for("web", "1");
    update(&server, &json!({ "taskDefinition": "web:1" }));
    steady(&server, 1, "web:1");
    assert_eq!(
        registry.asked_for("web", "1"),
        asked,
        "it need not be pulled"
    );
    // What has gone comes back.
    run_to_end("job", job);
    until_gone(&server, job);
    assert!(is_there(second), "nor is the way forward closed");

    let (status, answer) = server.send("DELETE", "/v1/services/web?force=true", None, "");
    assert_eq!(status, 200, "{answer:#}");
    for image in [first, second] {
        until_gone(&server, image);
    }
    assert!(is_there(mine));
    eventually("the removals to be told of", || {
        let (_, events) = server.get("/v1/events?limit=1000&kind=ImageRemoved");
        let told = events["items"].as_array().unwrap().iter();
        let mut told: Vec<_> = told.map(|one| one["subject"].as_str().unwrap()).collect();
        told.sort_unstable();
        let mut expected = [job, job, first, second].map(String::as_str);
        expected.sort_unstable();
        if told == expected {
            Ok(())
        } else {
            Err(format!("{events:#}"))
        }
    });
}

//! Bad days: each ends in the right state with the right reason, and nothing is lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::definition;
use crate::harness::{
    EngineSocket, Server, docker, eventually, leftovers, require_engine, workload,
};

fn yaml(family: &str, image: &str, more: &str) -> String {
    format!(
        "family: {family}\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n  - name: main\n    image: {image}\n{more}"
    )
}

fn reason(task: &Value) -> &str {
    task["stoppedReason"].as_str().unwrap_or_default()
}

#[test]
fn an_image_that_cannot_be_pulled_stops_the_task_with_the_words_of_ecs() {
    let server = Server::start();
    server.register(&yaml("lost", "localhost:1/nobody/nothing:1", ""));
    let task = server.wait_for(&server.run("lost"), "STOPPED");
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task:#}");
    assert!(
        reason(&task).starts_with("CannotPullContainerError: "),
        "{task:#}"
    );
    assert_eq!(task["usage"]["endEvidence"], "never_started", "{task:#}");
    server.wait_until_clean();
}

#[test]
fn an_executable_that_is_not_there_is_named() {
    let server = Server::start();
    server.register(&yaml(
        "wrong",
        workload(),
        "    entryPoint: [/no-such-program]\n",
    ));
    let task = server.wait_for(&server.run("wrong"), "STOPPED");
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task:#}");
    assert!(reason(&task).contains("/no-such-program"), "{task:#}");
    server.wait_until_clean();
}

#[test]
fn a_process_that_takes_too_much_memory_is_said_to_have() {
    let server = Server::start();
    server.register(&yaml(
        "greedy",
        workload(),
        "    memory: 32\n    command: [allocate, --mib, '128']\n",
    ));
    let task = server.wait_for(&server.run("greedy"), "STOPPED");
    assert_eq!(
        task["containers"][0]["reason"], "OutOfMemoryError: Container killed due to memory usage",
        "{task:#}"
    );
    assert_eq!(task["containers"][0]["exitCode"], 137, "{task:#}");
    assert_eq!(task["stopCode"], "EssentialContainerExited", "{task:#}");
}

#[test]
fn a_container_removed_behind_our_back_ends_its_task_with_that_reason() {
    let server = Server::start();
    server.register_workload("sleep", &["sleep"]);
    let id = server.run("sleep");
    let task = server.wait_for(&id, "RUNNING");
    docker(&[
        "rm",
        "--force",
        task["containers"][0]["runtimeId"].as_str().unwrap(),
    ])
    .unwrap();
    let task = server.wait_for(&id, "STOPPED");
    // The engine says that it was killed before it says that it is gone; either may be seen first.
    let exit_code = &task["containers"][0]["exitCode"];
    assert!(exit_code.is_null() || *exit_code == json!(137), "{task:#}");
    if exit_code.is_null() {
        assert!(reason(&task).contains("removed by somebody"), "{task:#}");
        assert_eq!(task["usage"]["endEvidence"], "estimated", "{task:#}");
    }
    server.wait_until_clean();
}

#[test]
fn a_sandbox_that_was_killed_ends_its_task() {
    let server = Server::start();
    let two: &[(&str, &[&str])] = &[("one", &["sleep"]), ("two", &["sleep"])];
    server.register(&definition("sleep", workload(), two));
    let id = server.run("sleep");
    server.wait_for(&id, "RUNNING");
    docker(&["kill", &format!("neargate-{id}")]).unwrap();
    let task = server.wait_for(&id, "STOPPED");
    assert!(
        reason(&task).contains("network namespace ended"),
        "{task:#}"
    );
    server.wait_until_clean();
}

#[test]
fn a_host_port_that_another_task_has_fails_the_second_task_alone() {
    let server = Server::start();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let more = format!(
        "    command: [serve, --port, '8080']\n    portMappings: [{{containerPort: 8080, hostPort: {port}}}]\nnetworkMode: bridge\n"
    );
    server.register(&yaml("web", workload(), &more));
    let first = server.run("web");
    server.wait_for(&first, "RUNNING");
    let second = server.wait_for(&server.run("web"), "STOPPED");
    assert_eq!(second["stopCode"], "TaskFailedToStart", "{second:#}");
    let said = reason(&second);
    assert!(
        said.starts_with("Cannot") && said.contains(&port.to_string()),
        "{second:#}"
    );
    assert_eq!(server.task(&first)["lastStatus"], "RUNNING");
    server.stop(&first);
    server.wait_for(&first, "STOPPED");
    // Now it is free.
    let third = server.run("web");
    server.wait_for(&third, "RUNNING");
    server.stop(&third);
    server.wait_for(&third, "STOPPED");
    server.wait_until_clean();
}

#[test]
fn a_process_that_ignores_sigterm_is_killed_after_its_stop_timeout_and_holds_nobody_up() {
    let server = Server::start();
    server.register_workload("deaf", &["ignore-sigterm"]);
    server.register_workload("quick", &["exit", "--code", "3"]);
    let deaf = server.run("deaf");
    server.wait_for(&deaf, "RUNNING");
    server.stop(&deaf);
    let quick = server.wait_for(&server.run("quick"), "STOPPED");
    assert_eq!(quick["containers"][0]["exitCode"], 3, "{quick:#}");
    let task = server.wait_for(&deaf, "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 137, "{task:#}");
    assert_eq!(task["stopCode"], "UserInitiated", "{task:#}");
    let log = server.cli(&["logs", &deaf]);
    assert!(log.ok().contains("SIGTERM ignored"), "it was asked first");
    server.wait_until_clean();
}

#[test]
fn an_engine_that_is_down_at_start_is_waited_for() {
    require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    let socket = EngineSocket::new(server.folder(), false);
    server.env("DOCKER_HOST", &socket.host());
    server.boot();
    eventually("the server to say that the engine is away", || {
        let (status, ready) = server.get("/readyz");
        if status == 503 && ready["engine"]["state"] == "away" {
            Ok(())
        } else {
            Err(format!("{ready:#}"))
        }
    });
    let status = server.cli(&["status"]);
    assert!(
        format!("{}{}", status.stdout, status.stderr).contains("away"),
        "{status:#?}"
    );
    server.register_workload("quick", &["exit", "--code", "4"]);
    let id = server.run("quick");
    eventually("the task to say what it waits for", || {
        let task = server.task(&id);
        let waiting = task["waitingFor"].as_str().unwrap_or_default().to_owned();
        if waiting.contains("away") {
            Ok(())
        } else {
            Err(format!("{task:#}"))
        }
    });
    socket.plug_in();
    let task = server.wait_for(&id, "STOPPED");
    assert_eq!(task["containers"][0]["exitCode"], 4, "{task:#}");
    assert_eq!(server.get("/readyz").0, 200);
}

#[test]
fn an_engine_that_goes_away_in_the_middle_loses_nothing() {
    require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    let socket = EngineSocket::new(server.folder(), true);
    server.env("DOCKER_HOST", &socket.host());
    server.boot();
    server.register_workload("sleep", &["sleep", "--term-code", "6"]);
    server.register_workload("short", &["exit", "--code", "3", "--after-ms", "500"]);
    let (stays, ends) = (server.run("sleep"), server.run("short"));
    let before = server.wait_for(&stays, "RUNNING");
    server.wait_for(&ends, "RUNNING");
    socket.unplug();
    eventually("the server to notice", || {
        let ready = server.get("/readyz").1;
        if ready["engine"]["state"] == "away" {
            Ok(())
        } else {
            Err(format!("{ready:#}"))
        }
    });
    // Whatever is asked for meanwhile is accepted and remembered.
    let later = server.run("short");
    let asked = server.task(&stays);
    assert_eq!(
        asked["lastStatus"], "RUNNING",
        "silence of the engine is not the end of a task: {asked:#}"
    );
    eventually("the short one to have ended unseen", || {
        let state = docker(&[
            "inspect",
            "--format",
            "{{.State.Status}}",
            &format!("neargate-{ends}-main"),
        ])?;
        if state == "exited" {
            Ok(())
        } else {
            Err(state)
        }
    });
    socket.plug_in();
    let ended = server.wait_for(&ends, "STOPPED");
    assert_eq!(ended["containers"][0]["exitCode"], 3, "{ended:#}");
    assert_eq!(ended["usage"]["endEvidence"], "engine", "{ended:#}");
    server.wait_for(&later, "STOPPED");
    let after = server.task(&stays);
    assert_eq!(
        before["containers"][0]["runtimeId"],
        after["containers"][0]["runtimeId"]
    );
    server.stop(&stays);
    let stopped = server.wait_for(&stays, "STOPPED");
    assert_eq!(stopped["containers"][0]["exitCode"], 6, "{stopped:#}");
    server.wait_until_clean();
}

#[test]
fn a_foreign_container_of_the_same_name_is_left_alone_and_named() {
    require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    let socket = EngineSocket::new(server.folder(), false);
    server.env("DOCKER_HOST", &socket.host());
    server.boot();
    server.register_workload("sleep", &["sleep"]);
    let id = server.run("sleep");
    let name = format!("neargate-{id}-main");
    let theirs = docker(&["create", "--name", &name, workload(), "sleep"]).unwrap();
    socket.plug_in();
    let task = server.wait_for(&id, "STOPPED");
    let gone = docker(&["inspect", "--format", "{{.State.Status}}", &theirs]);
    docker(&["rm", "--force", &theirs]).unwrap();
    assert_eq!(gone.as_deref(), Ok("created"));
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task:#}");
    assert!(
        reason(&task).contains(&name) && reason(&task).contains("not Neargate's"),
        "{task:#}"
    );
    server.wait_until_clean();
}

#[test]
fn a_disk_that_is_full_refuses_clearly_and_loses_nothing() {
    require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    let disk = SmallDisk::mount(&server.data_dir(), 4);
    server.boot();
    server.register_workload("sleep", &["sleep"]);
    let id = server.run("sleep");
    server.wait_for(&id, "RUNNING");
    disk.fill();
    let mut accepted = vec![id.clone()];
    let refusal = eventually("a refusal", || {
        let (status, answer) = server.post(
            "/v1/tasks",
            &json!({ "taskDefinition": "sleep", "count": 10 }),
        );
        if status == 201 {
            let tasks = answer["tasks"].as_array().unwrap();
            accepted.extend(
                tasks
                    .iter()
                    .map(|task| task["taskId"].as_str().unwrap().to_owned()),
            );
            return Err("it was accepted".to_owned());
        }
        Ok((status, answer))
    });
    assert_eq!(refusal.0, 507, "{:#}", refusal.1);
    assert!(refusal.1["hint"].is_string(), "{:#}", refusal.1);
    assert_eq!(server.task(&id)["lastStatus"], "RUNNING", "reading goes on");
    disk.free();
    for id in &accepted {
        eventually("the stop to be accepted", || {
            let (status, answer) = server.post(&format!("/v1/tasks/{id}/stop"), &json!({}));
            if status == 200 {
                Ok(())
            } else {
                Err(format!("{answer:#}"))
            }
        });
    }
    for id in &accepted {
        let task = server.wait_for(id, "STOPPED");
        assert_eq!(task["stopCode"], "UserInitiated", "{task:#}");
    }
    server.wait_until_clean();
    server.shut_down();
    assert_eq!(leftovers(server.instance()), Vec::<String>::new());
}

/// A file system of a few MiB in memory, on which a data folder lies.
pub struct SmallDisk {
    path: std::path::PathBuf,
}

impl SmallDisk {
    pub fn mount(path: &std::path::Path, mib: u32) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let size = format!("size={mib}m,mode=0700");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(path)
            .output()
            .unwrap();
        assert!(
            mounted.status.success(),
            "{}: this test mounts a tmpfs, so it needs root",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self {
            path: path.to_owned(),
        }
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.path.join("ballast")
    }

    pub fn fill(&self) {
        let _ = std::fs::write(self.ballast(), vec![0_u8; 64 * 1_048_576]);
    }

    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("--lazy")
            .arg(&self.path)
            .status();
    }
}

#[test]
fn a_second_server_on_the_same_folder_is_refused_with_the_pid_of_the_first() {
    let server = Server::start_sim();
    let second = server.command().output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success());
    assert!(
        said.contains(&server.pid().to_string()) && said.contains("hint:"),
        "{said}"
    );
}

#[test]
fn beyond_loopback_a_token_is_required() {
    let server = Server::prepare(&["--engine", "sim"]);
    let mut command = server.command();
    command.args(["--listen", "0.0.0.0:0"]);
    // The flag may be given once; take it from the environment instead.
    let mut command = std::process::Command::new(command.get_program());
    command
        .args(["serve", "--engine", "sim", "--data-dir"])
        .arg(server.data_dir());
    let refused = command
        .env("NEARGATE_LISTEN", "0.0.0.0:0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(said.contains("token") && said.contains("hint:"), "{said}");
}

#[test]
fn sigterm_lets_tasks_go_on_and_they_are_adopted_by_the_next_server() {
    let mut server = Server::start();
    server.register_workload("sleep", &["sleep"]);
    let id = server.run("sleep");
    let before = server.wait_for(&id, "RUNNING");
    server.shut_down();
    let running = docker(&[
        "inspect",
        "--format",
        "{{.State.Running}}",
        &format!("neargate-{id}-main"),
    ]);
    assert_eq!(running.as_deref(), Ok("true"));
    server.boot();
    let after = server.task(&id);
    assert_eq!(before["containers"][0], after["containers"][0]);
    std::thread::park_timeout(Duration::from_millis(200));
    server.stop(&id);
    server.wait_for(&id, "STOPPED");
    server.wait_until_clean();
}

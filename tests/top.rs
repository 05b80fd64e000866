//! What running tasks use, asked while they use it.

use serde_json::Value;

use crate::cli::fails;
use crate::harness::{Server, Typed, eventually};

#[test]
fn a_task_that_uses_a_quarter_of_a_processor_is_shown_to_use_about_that() {
    let server = Server::start();
    // A quarter of a vCPU is all that it gets, and it takes what it gets.
    server.register_workload("busy", &["burn-cpu"]);
    server.register_workload("idle", &["serve"]);
    let (busy, idle) = (server.run("busy"), server.run("idle"));
    for id in [&busy, &idle] {
        server.wait_for(id, "RUNNING");
    }
    // What others do on this machine may take the processor away for a while.
    eventually("figures that are as they should be", || {
        let top = server.cli(&["top", "--interval", "3", "--output", "json"]);
        let seen: Value = serde_json::from_str(top.ok()).unwrap();
        let items = seen["items"].as_array().unwrap();
        let of = |id: &str| items.iter().find(|task| task["taskId"] == id).unwrap();
        let (cpu_busy, cpu_idle) = (
            of(&busy)["containers"][0]["cpuPercent"].as_f64().unwrap(),
            of(&idle)["containers"][0]["cpuPercent"].as_f64().unwrap(),
        );
        let memory = of(&idle)["containers"][0]["memoryBytes"].as_u64().unwrap();
        let is_right = (10.0..40.0).contains(&cpu_busy) && cpu_idle < 5.0 && memory > 0;
        if is_right {
            Ok(())
        } else {
            Err(format!("{seen:#}"))
        }
    });
    let table = server.cli(&["top", &busy, "--once", "--interval", "1"]);
    let lines: Vec<&str> = table.ok().lines().collect();
    assert!(
        lines[0].starts_with("TASK") && lines[0].contains("CPU"),
        "{table:#?}"
    );
    assert!(
        lines[1].starts_with(&busy) && lines[1].contains(" %  "),
        "{table:#?}"
    );
    assert_eq!(lines.len(), 2, "only the one that was named");

    let before = server.get(&format!("/v1/tasks/{idle}/stats")).1;
    let address = server.task(&idle)["address"].as_str().unwrap().to_owned();
    let answer = std::process::Command::new("curl")
        .args(["--silent", &format!("http://{address}:8080/")])
        .output()
        .unwrap();
    assert!(answer.status.success(), "{answer:?}");
    eventually("the traffic to be counted", || {
        let after = server.get(&format!("/v1/tasks/{idle}/stats")).1;
        let bytes = |stats: &Value| stats["network"]["receivedBytes"].as_u64().unwrap();
        if bytes(&after) > bytes(&before) {
            Ok(())
        } else {
            Err(format!("{before:#} {after:#}"))
        }
    });
}

#[test]
fn a_task_that_does_not_run_has_no_figures_and_one_that_does_has_some_on_the_simulated_engine() {
    let server = Server::start_sim();
    let empty = server.cli(&["top", "--once", "--interval", "1"]);
    assert_eq!(
        (empty.ok(), empty.stderr.contains("no running tasks")),
        ("", true),
        "{empty:#?}"
    );
    server.register_workload("job", &["exit"]);
    server.register_workload("web", &["serve"]);
    let (job, web) = (server.run("job"), server.run("web"));
    server.wait_for(&job, "STOPPED");
    server.wait_for(&web, "RUNNING");
    let (status, figures) = server.get(&format!("/v1/tasks/{job}/stats"));
    assert_eq!(
        (status, &figures["containers"]),
        (200, &serde_json::json!([])),
        "{figures:#}"
    );
    let (_, figures) = server.get(&format!("/v1/tasks/{web}/stats"));
    assert_eq!(figures["containers"][0]["name"], "main", "{figures:#}");
    let table = server.cli(&["top", "--once", "--interval", "1"]);
    assert!(
        table.ok().contains(&web) && !table.ok().contains(&job),
        "{table:#?}"
    );
    fails(&server.cli(&["top", "ffffffff"]), 1, &["ffffffff", "hint:"]);
    assert_eq!(server.get("/v1/tasks/ffffffff/stats").0, 404);
}

#[test]
fn on_a_terminal_the_table_is_renewed_until_ctrl_c_and_the_terminal_is_left_as_it_was() {
    const ERASED: &str = "\x1b[J";
    let server = Server::start_sim();
    server.register_workload("web", &["serve"]);
    let first = server.run("web");
    server.wait_for(&first, "RUNNING");
    let mut top = Typed::start(&server.client(&["top", "--interval", "1"]), 160, 40);
    top.wait_for(&first[..12]);
    // What is new is drawn in the place of what was there, and what has ended is not drawn any more.
    let second = server.run("web");
    top.wait_for(&second[..12]);
    server.stop(&first);
    eventually("a table without the first task", || {
        let shown = top.shown();
        let newest = shown.rsplit(ERASED).next().unwrap();
        if newest.contains(&second[..12]) && !newest.contains(&first[..12]) {
            Ok(())
        } else {
            Err(shown)
        }
    });
    assert!(top.shown().matches(ERASED).count() >= 2);
    top.type_in("\x03");
    // `end` sees to it that the terminal echoes and that Ctrl-C is a signal on it.
    let (code, shown) = top.end();
    assert_eq!(code, 0, "{shown:?}");
    let screen = ["\x1b[?1049h", "\x1b[?25l", "\x1b[?1000h"];
    assert!(
        screen.iter().all(|mode| !shown.contains(mode)),
        "no mode was set that would have to be taken back: {shown:?}"
    );
    assert!(!shown.contains("error"), "{shown:?}");
}

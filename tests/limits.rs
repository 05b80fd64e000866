//! A task's CPU and memory hold for the task as a whole, on the real engine.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{Server, eventually, workload};

/// A task of 0.25 vCPU and 512 MiB; each container is a line of YAML after its name and image.
fn register(server: &Server, containers: &[(&str, &str)]) {
    let image = workload();
    let lines: Vec<String> = containers
        .iter()
        .map(|(name, rest)| {
            format!("  - {{ name: {name}, image: {image}, stopTimeout: 1, {rest} }}\n")
        })
        .collect();
    let yaml = format!(
        "family: limited\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n{}",
        lines.concat()
    );
    server.register(&yaml);
}

fn container<'a>(task: &'a Value, name: &str) -> &'a Value {
    let all = task["containers"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap()
}

/// A task's own folder in the hierarchy of a controller: that of cgroup v1, or the one of v2.
fn group(server: &Server, controller: &str, task: &str) -> PathBuf {
    let place = format!("neargate/{}/{task}", server.instance());
    let v1 = PathBuf::from("/sys/fs/cgroup").join(controller);
    let root = if v1.is_dir() {
        v1
    } else {
        PathBuf::from("/sys/fs/cgroup")
    };
    root.join(place)
}

const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

#[test]
fn containers_that_are_too_much_together_are_too_much_for_the_task() {
    let server = Server::start();
    // Neither is too much for itself: without a limit of the task both would hold what they have.
    register(
        &server,
        &[
            ("first", "memory: 400, command: [allocate, --mib, '300']"),
            (
                "second",
                "essential: false, memory: 400, command: [allocate, --mib, '300'], \
                 dependsOn: [{ containerName: first, condition: START }]",
            ),
        ],
    );
    let id = server.run("limited");
    let ended = eventually("one of them to be killed", || {
        let task = server.task(&id);
        let reasons: Vec<&Value> = ["first", "second"]
            .iter()
            .map(|name| container(&task, name))
            .filter(|one| one["exitCode"] == 137)
            .collect();
        match reasons.first() {
            Some(one) => Ok((*one).clone()),
            None => Err(format!("{task:#}")),
        }
    });
    assert_eq!(ended["reason"], OUT_OF_MEMORY, "{ended:#}");
    let task = server.task(&id);
    assert_eq!(task["limits"]["enforcedBy"], "taskCgroup", "{task:#}");
    let described = server.cli(&["describe", &id]);
    let described = described.ok();
    assert!(
        described.contains("hold for the task as a whole"),
        "{described}"
    );
    server.stop(&id);
    server.wait_for(&id, "STOPPED");
    server.wait_until_clean();
    // Of the other one the engine may say so too, since the kernel tells every container of the task. It is true if that one
    // was killed as well, before the first had given its memory back, and not if it was Neargate that ended it.
    let task = server.task(&id);
    for one in ["first", "second"].map(|name| container(&task, name)) {
        let stopped_by_us = one["finishedAt"].as_str() > task["stoppingAt"].as_str();
        if stopped_by_us || one["exitCode"] != 137 {
            assert_ne!(one["reason"], OUT_OF_MEMORY, "{task:#}");
        }
    }
    eventually("its cgroup to be gone", || {
        let folder = group(&server, "memory", &id);
        if folder.exists() {
            Err(folder.display().to_string())
        } else {
            Ok(())
        }
    });
}

#[test]
fn a_container_that_needs_more_than_its_own_memory_ends_and_the_task_goes_on() {
    let server = Server::start();
    register(
        &server,
        &[
            ("main", "command: [sleep]"),
            (
                "greedy",
                "essential: false, memory: 64, command: [allocate, --mib, '128']",
            ),
        ],
    );
    let id = server.run("limited");
    let greedy = eventually("the greedy one to be killed", || {
        let task = server.task(&id);
        let greedy = container(&task, "greedy");
        if greedy["lastStatus"] == "STOPPED" {
            Ok(greedy.clone())
        } else {
            Err(format!("{task:#}"))
        }
    });
    assert_eq!(greedy["exitCode"], 137, "{greedy:#}");
    assert_eq!(greedy["reason"], OUT_OF_MEMORY, "{greedy:#}");
    let task = server.task(&id);
    assert_eq!(task["lastStatus"], "RUNNING", "{task:#}");
}

/// What two burners have used together, against the time that they ran: a quarter of a processor and no more,
/// although each may have all of it. Only a ratio with room is compared, since the machine may be busy.
#[test]
fn two_that_burn_cpu_share_what_the_task_has() {
    let server = Server::start();
    // The first to end would take the other with it, and its figures.
    let longer = "command: [burn-cpu, --threads, '2', --for-ms, '4000']";
    let shorter = "essential: false, command: [burn-cpu, --threads, '2', --for-ms, '2500']";
    register(&server, &[("one", longer), ("two", shorter)]);
    let id = server.run("limited");
    server.wait_for(&id, "STOPPED");
    let (status, page) = server.get(&format!("/v1/tasks/{id}/logs"));
    assert_eq!(status, 200, "{page}");
    let text = page.to_string();
    let (mut used, mut wall) = (0_u64, 0_u64);
    let mut lines = 0;
    for part in text.split("used ").skip(1) {
        let numbers: Vec<u64> = part
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|word| word.parse().ok())
            .take(2)
            .collect();
        used += numbers[0];
        wall = wall.max(numbers[1]);
        lines += 1;
    }
    assert_eq!(lines, 2, "{text}");
    assert!(used * 100 < wall * 40, "{used} ms of CPU time in {wall} ms");
}

/// Nobody removes the cgroup of a task that was killed together with Neargate, but the next start.
#[test]
fn after_a_crash_the_limits_still_hold_and_nothing_is_left() {
    let mut server = Server::start();
    register(&server, &[("main", "command: [sleep]")]);
    let id = server.run("limited");
    server.wait_for(&id, "RUNNING");
    let folder = group(&server, "memory", &id);
    assert!(folder.is_dir(), "{}", folder.display());
    server.kill();
    let leftover = folder.with_file_name("0123456789abcdef0123456789abcdef");
    fs::create_dir(&leftover).unwrap();
    server.boot();
    assert!(folder.is_dir(), "a task that runs keeps its limits");
    eventually("the leftover to be swept", || {
        if leftover.exists() {
            Err(server.log())
        } else {
            Ok(())
        }
    });
    server.stop(&id);
    server.wait_for(&id, "STOPPED");
    server.wait_until_clean();
    server.shut_down();
    let above = folder.parent().unwrap();
    assert!(!above.exists(), "{} is given back", above.display());
}

//! Logs on the real engine: in order, whatever a container writes, and kept when the container is gone.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::cli::definition;
use crate::harness::{Server, workload};

/// Runs `definition` to its end; its ID.
fn over(server: &Server, definition: &str) -> String {
    let id = server.run(definition);
    server.wait_for(&id, "STOPPED");
    server.wait_until_clean();
    id
}

/// The file that the log of the container `main` is kept in.
fn kept(server: &Server, id: &str) -> PathBuf {
    server.data_dir().join("logs").join(id).join("main.log")
}

#[test]
fn lines_of_several_containers_come_in_the_order_of_their_times_and_are_kept_so() {
    let server = Server::start();
    let noisy: &[&str] = &["log", "--lines", "40", "--every-ms", "50"];
    let both: &[(&str, &[&str])] = &[("one", noisy), ("two", noisy), ("stays", &["sleep"])];
    server.register(&definition("two", workload(), both));
    let id = server.run("two");
    server.wait_for(&id, "STOPPED");
    server.wait_until_clean();
    let of = |more: &[&str]| {
        let log = server.cli(&[&["logs", "--output", "json", &id], more].concat());
        let lines = log
            .ok()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<Value>>()
    };
    let lines = of(&[]);
    let times: Vec<&str> = lines
        .iter()
        .map(|line| line["at"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let from = |name: &str| {
        lines
            .iter()
            .filter(|line| line["container"] == name)
            .count()
    };
    // Whichever ends first ends the task, so the other may not have come to its end.
    assert!(from("one").max(from("two")) == 40, "{lines:#?}");
    assert!(from("one").min(from("two")) > 0, "{lines:#?}");
    let changes = lines
        .windows(2)
        .filter(|two| two[0]["container"] != two[1]["container"]);
    assert!(changes.count() > 3, "they alternate: {lines:#?}");
    // What is compressed can be asked for as anything else.
    let whole = if from("one") == 40 { "one" } else { "two" };
    assert_eq!(
        of(&["--container", whole, "--tail", "2"])[1]["text"],
        "line 40"
    );
    // Several lines may have come in the same millisecond.
    let all = of(&["--container", whole]);
    let tenth = all[9]["at"].as_str().unwrap();
    let later = |line: &&Value| line["at"].as_str().unwrap() >= tenth;
    let expected = all.iter().filter(later).count();
    assert!((31..40).contains(&expected), "{all:#?}");
    let since = of(&["--container", whole, "--since", tenth]);
    assert_eq!(since.len(), expected, "{since:#?}");
}

#[test]
fn a_flood_a_line_without_an_end_and_binary_bytes_are_survived() {
    let server = Server::start();
    server.register_workload("flood", &["log", "--lines", "60000", "--bytes", "100"]);
    server.register_workload(
        "endless",
        &["log", "--lines", "1", "--bytes", "1000000", "--no-newline"],
    );
    server.register_workload("binary", &["log", "--lines", "3", "--binary"]);
    let ids = ["flood", "endless", "binary"].map(|name| over(&server, name));
    let read = |id: &str, more: &[&str]| {
        let mut client = server.client(&[&["logs", id], more].concat());
        let output = client.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let flood = String::from_utf8(read(&ids[0], &[])).unwrap();
    assert_eq!(flood.lines().count(), 60_000);
    let last = String::from_utf8(read(&ids[0], &["--tail", "1"])).unwrap();
    assert!(last.starts_with("line 60000"), "{last}");
    let file = fs::metadata(kept(&server, &ids[0])).unwrap().len();
    assert!(file * 10 < flood.len() as u64, "{file} of {}", flood.len());

    let endless = String::from_utf8(read(&ids[1], &[])).unwrap();
    assert_eq!(endless.matches('.').count(), 1_000_000 - "line 1".len());
    let mut every_byte = b"line 1 ".to_vec();
    every_byte.extend((0..=u8::MAX).filter(|byte| *byte != b'\n'));
    let binary = read(&ids[2], &["--tail", "1"]);
    assert!(binary.len() >= every_byte.len(), "{binary:?}");
    assert_eq!(server.get("/readyz").0, 200);
}

#[test]
fn kept_logs_go_when_they_are_too_old_or_too_many() {
    let mut server = Server::prepare(&["--warm-sandboxes", "0", "--engine", "sim"]);
    let config = server.folder().join("neargate.toml");
    fs::write(&config, "kept_logs_max_age_days = 1\n").unwrap();
    server.env("NEARGATE_CONFIG", config.to_str().unwrap());
    server.boot();
    server.register(&definition(
        "log",
        "neargate/workload",
        &[("main", &["log"])],
    ));
    let ids = [0, 1, 2].map(|_| over(&server, "log"));
    let ends_before = |server: &mut Server, settings: &str| {
        server.shut_down();
        fs::write(&config, settings).unwrap();
        server.boot();
    };
    // Two days and two hours ago.
    for (id, hours) in [(&ids[0], 48), (&ids[1], 2)] {
        let file = fs::File::open(kept(&server, id)).unwrap();
        let age = Duration::from_secs(hours * 60 * 60);
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - age).unwrap();
    }
    ends_before(&mut server, "kept_logs_max_age_days = 1\n");
    crate::harness::eventually("the oldest log to go", || {
        if kept(&server, &ids[0]).exists() {
            Err(server.log())
        } else {
            Ok(())
        }
    });
    assert!(kept(&server, &ids[1]).exists() && kept(&server, &ids[2]).exists());
    assert!(server.cli(&["logs", &ids[1]]).ok().contains("line 10"));
    let gone = server.cli(&["logs", &ids[0]]);
    assert_eq!(gone.ok(), "", "and is no error");
    assert!(
        gone.stderr
            .contains("warning: the log is not kept any more of: main;")
            && gone.stderr.contains("kept_logs_max_age_days"),
        "{gone:#?}"
    );
    assert_eq!(server.cli(&["logs", &ids[1]]).stderr, "");

    let one = fs::metadata(kept(&server, &ids[2])).unwrap().len();
    ends_before(&mut server, &format!("kept_logs_max_bytes = {one}\n"));
    crate::harness::eventually("the older log to go", || {
        if kept(&server, &ids[1]).exists() {
            Err(server.log())
        } else {
            Ok(())
        }
    });
    assert!(server.cli(&["logs", &ids[2]]).ok().contains("line 10"));
}

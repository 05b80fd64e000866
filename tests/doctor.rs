//! `neargate doctor` on real machines: this one, one whose engine is away, and one with faults.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::plain;
use crate::harness::{Cli, Server, neargate, require_engine};

/// The doctor on a data folder and a port of the test's own.
fn doctor(data_dir: &Path, listen: &str, args: &[&str]) -> Command {
    let mut command = neargate();
    command
        .args(["doctor", "--listen", listen, "--data-dir"])
        .arg(data_dir)
        .args(args)
        // Nobody answers there.
        .env("NEARGATE_ENDPOINT", "http://127.0.0.1:1");
    command
}

fn done(mut command: Command) -> Cli {
    plain(Cli::new(&["doctor"], &command.output().unwrap()))
}

fn findings(cli: &Cli) -> Vec<Value> {
    let report: Value = serde_json::from_str(&cli.stdout).unwrap_or_else(|_| panic!("{cli:#?}"));
    report["findings"].as_array().unwrap().clone()
}

/// The findings of a check.
fn of<'a>(findings: &'a [Value], check: &str) -> Vec<&'a Value> {
    findings
        .iter()
        .filter(|one| one["check"] == check)
        .collect()
}

#[test]
fn this_machine_is_looked_at_with_and_without_a_server() {
    require_engine();
    let server = Server::start();
    let listen = server.endpoint().trim_start_matches("http://").to_owned();
    let with = doctor(&server.data_dir(), &listen, &["--json"])
        .env("NEARGATE_ENDPOINT", server.endpoint())
        .output()
        .unwrap();
    let with = plain(Cli::new(&["doctor"], &with));
    let found = findings(&with);
    let text = |check: &str| of(&found, check)[0]["text"].as_str().unwrap().to_owned();
    assert!(text("engine").starts_with("Docker "), "{with:#?}");
    assert!(
        text("data").contains(&format!("process {}", server.pid())),
        "{with:#?}"
    );
    assert_eq!(text("port"), format!("a Neargate listens on {listen}"));
    assert!(text("server").contains(server.endpoint()), "{with:#?}");
    for check in [
        "storage",
        "live-restore",
        "cgroups",
        "runtimes",
        "addresses",
        "disk",
        "clock",
    ] {
        assert!(!of(&found, check).is_empty(), "{check}: {with:#?}");
    }
    for one in &found {
        assert_eq!(one["hint"].is_string(), one["level"] != "ok", "{one:#}");
    }
    // What a healthy disk and a free address are depends on who else is here; what must be so is so.
    for check in ["config", "engine", "data", "database", "port"] {
        assert!(
            of(&found, check).iter().all(|one| one["level"] == "ok"),
            "{with:#?}"
        );
    }
    assert_eq!(
        with.code,
        i32::from(found.iter().any(|one| one["level"] == "fail")),
        "{with:#?}"
    );

    let folder = TempDir::new().unwrap();
    let without = done(doctor(&folder.path().join("data"), "127.0.0.1:0", &[]));
    for part in [
        "ok      engine",
        "is free",
        "none answers at http://127.0.0.1:1",
    ] {
        assert!(
            without.stdout.contains(part),
            "{part} is not in {without:#?}"
        );
    }
    assert!(!folder.path().join("data").exists(), "it only looks");
}

#[test]
fn an_engine_that_is_away_is_a_failure_and_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let mut command = doctor(&folder.path().join("data"), "127.0.0.1:0", &[]);
    command.env(
        "DOCKER_HOST",
        format!("unix://{}/docker.sock", folder.path().display()),
    );
    let cli = done(command);
    assert_eq!(cli.code, 1, "{cli:#?}");
    for part in [
        "fail    engine",
        "no such socket",
        "hint: systemctl start docker",
    ] {
        assert!(cli.stdout.contains(part), "{part} is not in {cli:#?}");
    }
    assert!(cli.stderr.contains("1 failure"), "{cli:#?}");
}

#[test]
fn a_folder_of_the_wrong_mode_a_port_in_use_and_a_bad_file_are_found() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let key = data.join("metadata.key");
    fs::write(&key, "x").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let config = folder.path().join("neargate.toml");
    fs::write(&config, "warm_sandboxs = 3\n").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    // Whoever connects is turned away at once, as by something that is no Neargate.
    std::thread::spawn(move || taken.incoming().for_each(drop));

    let config = config.to_str().unwrap();
    let mut command = doctor(&data, &listen, &["--config", config, "--output", "json"]);
    command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let cli = done(command);
    assert_eq!(cli.code, 1, "{cli:#?}");
    let found = findings(&cli);
    for (check, level, part, hint) in [
        ("config", "fail", "warm_sandboxs", "serve --help"),
        ("data", "warn", "mode 755", "chmod 700"),
        ("data", "fail", "metadata.key", "chmod 600"),
        ("database", "fail", "missing or empty", "neargate restore"),
        ("port", "fail", &listen, "--listen"),
    ] {
        let is_it = |one: &&Value| {
            one["level"] == level
                && one["text"].as_str().unwrap().contains(part)
                && one["hint"].as_str().unwrap_or_default().contains(hint)
        };
        let all = of(&found, check);
        assert!(all.iter().any(is_it), "{check}: {part}: {cli:#?}");
    }
}

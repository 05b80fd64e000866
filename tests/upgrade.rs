//! A database of each released version opens and goes on.
//!
//! A newer Neargate cannot make the database of an older one, so this is the one generated file that is committed: when a
//! version is released, `neargate backup tests/upgrade/VERSION.db` of a server of that version. Which versions there are,
//! CHANGELOG says.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Server, neargate};

/// The versions that CHANGELOG has a heading for: `## 0.1.0`, with or without a date behind it.
fn released() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let changes = fs::read_to_string(root.join("CHANGELOG.md")).unwrap();
    let headings = changes.lines().filter_map(|line| line.strip_prefix("## "));
    headings
        .filter_map(|heading| heading.split_whitespace().next())
        .filter(|version| version.starts_with(|first: char| first.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

fn fixture(version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/upgrade").join(format!("{version}.db"))
}

/// Restores `database`, starts a server over it, and has it run a task of each family that it knows.
fn goes_on(database: &Path) {
    let name = database.display();
    let mut server = Server::prepare(&["--engine", "sim"]);
    let restored = neargate()
        .arg("restore")
        .arg(database)
        .arg("--data-dir")
        .arg(server.data_dir())
        .output()
        .unwrap();
    assert!(restored.status.success(), "{name}: {restored:?}");
    server.boot();
    let listed = server.get("/v1/task-definitions").1;
    let families = listed["items"].as_array().unwrap();
    assert!(!families.is_empty(), "{name}: {listed:#}");
    for one in families {
        let family = one["family"].as_str().unwrap();
        let task = server.run(family);
        server.wait_for(&task, "RUNNING");
    }
    let verified = server.cli(&["usage", "verify"]);
    verified.ok();
}

#[test]
fn a_database_of_each_released_version_opens_and_goes_on() {
    for version in released() {
        let database = fixture(&version);
        assert!(
            database.exists(),
            "{version} is released and has no {}: neargate backup of a server of that version makes it",
            database.display()
        );
        goes_on(&database);
    }
    // That of this version, which is what a release would commit.
    let server = Server::start_sim();
    server.register_workload("sleep", &["sleep"]);
    let task = server.run("sleep");
    server.wait_for(&task, "RUNNING");
    let database = server.folder().join("this.db");
    server.cli(&["backup", database.to_str().unwrap()]).ok();
    goes_on(&database);
}

//! The console in a real browser: Chromium, driven by Playwright, with the rules of axe-core.
//!
//! `make test` installs them (`scripts/clients`). What is looked at is in `tests/console/pages.py`; here are the servers that
//! it looks at. Pictures of all pages, dark and light, wide and narrow, are left in `target/console`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::run;
use crate::harness::{Server, workload};

const TOKEN: &str = "correct-horse-battery-staple";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that drives browsers.
fn python() -> PathBuf {
    let folder = root().join("target/browser");
    let wanted = std::fs::read(root().join("tests/console/requirements.txt")).unwrap();
    let found = std::fs::read(folder.join("requirements.txt")).unwrap_or_default();
    assert!(
        wanted == found,
        "what tests/console/requirements.txt asks for is not installed: scripts/clients"
    );
    folder.join("bin/python")
}

/// The machine's browser; `None`, and said, where there is none and could be none.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("chromium"));
    let found = found.find(|program| program.is_file());
    let is_demanded = std::env::var_os("CI").is_some() || rustix::process::geteuid().is_root();
    assert!(
        found.is_some() || !is_demanded,
        "there is no Chromium to test the console in: scripts/clients"
    );
    if found.is_none() {
        eprintln!("skipped: there is no Chromium, and only root can install it: scripts/clients");
    }
    found
}

#[test]
fn the_console_works_in_a_browser_and_keeps_the_rules_for_everybody() {
    let Some(chromium) = chromium() else { return };
    let server = Server::start();
    for revision in ["1", "2"] {
        server.register(&format!(
            "family: web\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n  - name: main\n    image: {}\n    \
             stopTimeout: 2\n    command: [serve]\n    environment: [{{name: REVISION, value: \"{revision}\"}}]\n",
            workload()
        ));
    }
    let service = "serviceName: web\ntaskDefinition: web:1\ndesiredCount: 2\n";
    let file = crate::cli::file(&server, "web.yaml", service);
    run(&server, &["service", "create", &file, "--wait"]).ok();
    // Something that has failed, and something that waits.
    server.register_workload("job", &["exit", "--code", "3"]);
    run(&server, &["run", "job", "--wait"]);

    let locked = Server::start_sim_with(&[], &[("NEARGATE_TOKEN", TOKEN)]);
    let output = Command::new(python())
        .arg(root().join("tests/console/pages.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "*")
        .env("NEARGATE_ENDPOINT", server.endpoint())
        .env("LOCKED_ENDPOINT", locked.endpoint())
        .env("LOCKED_TOKEN", TOKEN)
        .env("CHROMIUM", chromium)
        .env("PICTURES", root().join("target/console"))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, wrong) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{wrong}");
    eprintln!("{said}");
    let picture = root().join("target/console/overview-dark-narrow.png");
    assert!(picture.is_file(), "{said}");
}

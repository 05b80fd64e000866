//! The console in a real browser: Chromium, driven by Playwright, with the rules of axe-core.
//!
//! `make test` installs them (`scripts/clients`). What is looked at is in `tests/console/`, a file for each subject; here are
//! the servers that it looks at. Pictures of all pages, dark and light, wide and narrow, are left in `target/console`; those of
//! the documentation are in `target/console/docs`, and `make pictures` copies them to `docs/images`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::cli::run;
use crate::harness::{Server, eventually, python_with, workload};

const TOKEN: &str = "correct-horse-battery-staple";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python that drives browsers.
fn python() -> PathBuf {
    python_with("browser", "tests/console/requirements.txt").join("python")
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

/// Looks at the pages of `server`, as the file of that name in `tests/console/` says. `more` is what it needs to know besides.
fn look(chromium: &Path, file: &str, server: &Server, more: &[(&str, &str)]) {
    let output = Command::new(python())
        .arg(root().join("tests/console").join(file))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "*")
        .env("NEARGATE_ENDPOINT", server.endpoint())
        .env("CHROMIUM", chromium)
        .env("PICTURES", root().join("target/console"))
        .envs(more.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, wrong) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{wrong}");
    eprintln!("{said}");
}

/// Registers a revision of `web` that runs the workload with `command`.
fn register_web(server: &Server, command: &str) {
    server.register(&format!(
        "family: web\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n  - name: main\n    image: {}\n    \
         stopTimeout: 2\n    command: {command}\n",
        workload()
    ));
}

/// Registers a family of two containers, one of which waits for the other and says soon that it is not well.
fn register_shop(server: &Server) {
    let image = workload();
    server.register(&format!(
        "family: shop\ncpu: 256\nmemory: 512\nnetworkMode: bridge\ncontainerDefinitions:\n  - name: web\n    image: {image}\n    \
         command: [serve, --fail-health-after-ms, '1']\n    stopTimeout: 2\n    portMappings: [{{containerPort: 8080}}]\n    \
         dependsOn: [{{containerName: db, condition: START}}]\n    \
         environment: [{{name: GREETING, value: <b>hello</b>}}, {{name: DB_PASSWORD, value: not-to-be-seen}}]\n    \
         healthCheck: {{command: [CMD, /workload, health], interval: 5, timeout: 2, retries: 1}}\n  - name: db\n    image: {image}\n    \
         command: [sleep]\n    stopTimeout: 2\n    essential: false\n"
    ));
}

/// Makes the service `web` of two tasks of web:1, and waits until they run.
fn create_web(server: &Server) {
    let service = "serviceName: web\ntaskDefinition: web:1\ndesiredCount: 2\n";
    let file = crate::cli::file(server, "web.yaml", service);
    run(server, &["service", "create", &file, "--wait"]).ok();
}

#[test]
fn the_pictures_of_the_documentation_are_shown_and_small() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let pages = read("README.md") + &read("docs/console.md") + &read("docs/proof.md");
    let mut found = 0;
    for entry in std::fs::read_dir(root().join("docs/images")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().extension() != Some("png".as_ref()) {
            continue;
        }
        found += 1;
        let bytes = entry.metadata().unwrap().len();
        assert!(bytes < 200_000, "{name} has {bytes} bytes: make pictures");
        assert!(
            pages.contains(&format!("images/{name})")),
            "{name} is shown nowhere"
        );
    }
    assert!(found >= 3, "{found} pictures");
}

#[test]
fn the_console_works_in_a_browser_and_keeps_the_rules_for_everybody() {
    let Some(chromium) = chromium() else { return };
    let server = Server::start();
    for revision in ["1", "2"] {
        register_web(
            &server,
            &format!("[serve]\n    environment: [{{name: REVISION, value: \"{revision}\"}}]"),
        );
    }
    create_web(&server);
    // Something that has failed, and something that waits.
    server.register_workload("job", &["exit", "--code", "3"]);
    run(&server, &["run", "job", "--wait"]);
    register_shop(&server);
    server.run("shop");

    let locked = Server::start_sim_with(&[], &[("NEARGATE_TOKEN", TOKEN)]);
    let more = [
        ("LOCKED_ENDPOINT", locked.endpoint()),
        ("LOCKED_TOKEN", TOKEN),
    ];
    look(&chromium, "pages.py", &server, &more);
    let picture = root().join("target/console/overview-dark-narrow.png");
    assert!(picture.is_file(), "no picture was taken");
}

#[test]
fn a_failed_deployment_its_rollback_scaling_and_going_back_are_seen_and_done_in_a_browser() {
    let Some(chromium) = chromium() else { return };
    let server = Server::start();
    register_web(&server, "[sleep]");
    register_web(&server, "[read-file, /no/such/file]");
    register_web(&server, "[sleep]");
    create_web(&server);
    look(&chromium, "deploying.py", &server, &[]);
}

#[test]
fn a_log_is_followed_and_commands_are_run_in_a_browser() {
    let Some(chromium) = chromium() else { return };
    let server = Server::start();
    let command = "log --lines 1000000 --every-ms 100 --stderr-every 5 --bytes 300";
    let command: Vec<&str> = command.split(' ').collect();
    server.register_workload("talk", &command);
    server.register_workload("rude", &["env", "TEXT"]);
    look(&chromium, "task.py", &server, &[]);
}

#[test]
fn a_thousand_tasks_are_listed_and_fit_the_screen_of_a_browser() {
    let Some(chromium) = chromium() else { return };
    let server = Server::start_sim();
    let long = "l".repeat(255);
    let (status, answer) = server.post("/v1/clusters", &json!({ "clusterName": long }));
    assert_eq!(status, 201, "{answer:#}");
    for (name, cluster, count) in [("web", "default", 998), (&long, long.as_str(), 2)] {
        // Without a network: one has room for fewer. Without CPU: the host has not that much.
        let container = json!({
            "name": name, "image": workload(), "command": ["sleep"], "memory": 6, "essential": true,
        });
        let definition = json!({
            "family": name, "networkMode": "none", "containerDefinitions": [container],
        });
        server.register(&definition.to_string());
        let service = json!({
            "serviceName": name, "cluster": cluster, "taskDefinition": name, "desiredCount": count,
        });
        let (status, answer) = server.post("/v1/services", &service);
        assert_eq!(status, 201, "{answer:#}");
    }
    for (cluster, count) in [("default", 998), (long.as_str(), 2)] {
        eventually("all tasks to run", || {
            let (_, cluster) = server.get(&format!("/v1/clusters/{cluster}"));
            let running = cluster["runningTasksCount"].as_u64();
            (running == Some(count))
                .then_some(())
                .ok_or(format!("{cluster:#}"))
        });
    }
    look(&chromium, "many.py", &server, &[]);
}

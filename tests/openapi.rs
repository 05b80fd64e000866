//! The server against its own OpenAPI document. schemathesis reads the document, sends what it allows and much that it does
//! not, and holds each answer against it: no failure of ours, no status and no form of an answer that the document does not tell.
//!
//! `make test` installs it (`scripts/clients`).

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::harness::{Server, python_with};

/// What is left out: streams, which have no end, and connections that become something else.
const WITHOUT: &str = "/stream$|/logs$|/stats$|/exec$|/forward$";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// Holds `server` against its document. `names` says what the parts of paths are; whatever it does not name is made up.
fn hold(server: &Server, names: &[(&str, &str)], more: &[&str]) {
    let programs = python_with("openapi", "tests/openapi/requirements.txt");
    let config = server.folder().join("schemathesis.toml");
    let lines = names
        .iter()
        .map(|(name, value)| format!("\"path.{name}\" = {value:?}\n"));
    let lines: String = lines.collect();
    fs::write(&config, format!("[parameters]\n{lines}")).unwrap();
    let output = Command::new(programs.join("schemathesis"))
        .arg("--config-file")
        .arg(&config)
        .args(["--no-color", "run"])
        .arg(format!("{}/openapi.json", server.endpoint()))
        .args(["--url", server.endpoint(), "--checks", CHECKS])
        .args(["--phases", "coverage", "--exclude-path-regex", WITHOUT])
        .args(["--request-timeout", "30"])
        .args(["--seed", "1", "--suppress-health-check", "all"])
        .args(more)
        .env("NO_PROXY", "127.0.0.1")
        .current_dir(server.folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let cases = said
        .lines()
        .find_map(|line| line.trim().split_once(" generated, "));
    let cases: u32 = cases.map_or(0, |(count, _)| count.parse().unwrap());
    assert!(cases > 500, "{cases} cases are too few: {said}");
}

#[test]
fn what_is_not_there_is_missed_as_the_document_says() {
    let server = Server::start_sim();
    let methods = ["--include-method", "GET", "--include-method", "DELETE"];
    hold(&server, &[], &methods);
}

#[test]
fn what_is_there_is_shown_and_changed_as_the_document_says() {
    let server = Server::start_sim();
    server.register_workload("web", &["sleep"]);
    let task = server.run("web");
    let service = json!({ "serviceName": "web", "taskDefinition": "web", "desiredCount": 1 });
    let every_day = json!({
        "name": "nightly", "scheduleExpression": "rate(1 day)", "target": { "taskDefinition": "web" },
    });
    for (path, body) in [("/v1/services", &service), ("/v1/schedules", &every_day)] {
        let (status, answer) = server.post(path, body);
        assert_eq!(status, 201, "{path}: {answer:#}");
    }
    let budget = json!({ "cluster": "default", "period": "month", "limit": "10" }).to_string();
    for (path, body, kind) in [
        ("/v1/budgets/all", budget, "application/json"),
        (
            "/v1/secrets/key",
            "of-nobody".to_owned(),
            "application/octet-stream",
        ),
    ] {
        let (status, answer) = server.send("PUT", path, Some(body), kind);
        assert!(status < 300, "{path}: {status} {answer:#}");
    }
    server.wait_for(&task, "RUNNING");
    let names = [
        ("task", task.as_str()),
        ("service", "web"),
        ("schedule", "nightly"),
        ("budget", "all"),
        ("secret", "key"),
        ("cluster", "default"),
        ("taskDefinition", "web:1"),
    ];
    // What is there must stay there.
    hold(&server, &names, &["--exclude-method", "DELETE"]);
}

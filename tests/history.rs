//! What is remembered of a service's deployments: who wanted them, how they ended, and what failed tasks wrote.

use std::fs;

use serde_json::{Value, json};

use crate::cli::{fails, run};
use crate::harness::{Cli, Server, eventually};
use crate::service::{BREAKER, create, document, sim, steady, update};

/// The deployments of the service, newest first.
fn history(server: &Server) -> Vec<Value> {
    let (status, page) = server.get("/v1/services/web/deployments");
    assert_eq!(status, 200, "{page:#}");
    page["items"].as_array().unwrap().clone()
}

#[test]
fn a_failed_deployment_is_remembered_with_who_why_and_what_its_tasks_wrote() {
    crate::harness::require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    server.boot();
    server.register_workload("web", &["sleep"]);
    create(&server, &document(2, BREAKER));
    steady(&server, 2, "web:1");
    assert_eq!(
        history(&server)[0]["createdBy"],
        json!({ "kind": "client", "verified": false }),
        "who says nothing of itself has no name"
    );
    // Its tasks start, write, and end.
    server.register_workload("web", &["log", "--lines", "25"]);
    let args = [
        "service",
        "update",
        "web",
        "--task-definition",
        "web",
        "--wait",
    ];
    let output = server.client(&args).env("USER", "alice").output().unwrap();
    fails(
        &Cli::new(&args, &output),
        1,
        &["service web was rolled back to web:1"],
    );

    let remembered = |server: &Server| {
        eventually("the last lines of the failed tasks", || {
            let all = history(server);
            let failures = all[0]["failures"].as_array().cloned().unwrap_or_default();
            let has_lines = |failure: &Value| {
                let lines = failure["lastLines"].as_array();
                lines.is_some_and(|lines| {
                    lines.len() == 10
                        && lines[0]["text"] == "line 16"
                        && lines[9]["text"] == "line 25"
                })
            };
            if (3..=5).contains(&failures.len()) && failures.iter().all(has_lines) {
                Ok(all)
            } else {
                Err(format!("{all:#?}"))
            }
        })
    };
    remembered(&server);
    // They do not need the logs, which go first.
    fs::remove_dir_all(server.data_dir().join("logs")).unwrap();
    server.kill();
    server.boot();
    let all = remembered(&server);
    let (failed, back) = (&all[0], &all[1]);
    assert_eq!(
        failed["serviceDeploymentStatus"], "ROLLBACK_SUCCESSFUL",
        "{failed:#}"
    );
    assert_eq!(
        failed["failures"][0]["reason"],
        "Essential container in task exited"
    );
    let name = failed["createdBy"]["name"].as_str().unwrap();
    assert!(name.starts_with("alice@"), "{failed:#}");
    assert_eq!(failed["rollback"]["requestedBy"]["kind"], "circuitBreaker");
    assert_eq!(failed["rollback"]["taskDefinition"], "web:1");
    assert_eq!(
        failed["rollback"]["serviceRevision"],
        back["serviceRevision"]
    );
    assert_eq!(
        failed["sourceServiceRevisions"],
        json!([back["serviceRevision"]])
    );
    assert_eq!(back["serviceDeploymentStatus"], "SUCCESSFUL", "{back:#}");
    for one in [failed, back] {
        assert!(
            one["createdAt"].as_str() <= one["finishedAt"].as_str(),
            "{one:#}"
        );
        let id = one["serviceRevision"].as_str().unwrap();
        let (status, revision) = server.get(&format!("/v1/services/web/revisions/{id}"));
        assert_eq!(status, 200, "{revision:#}");
        assert_eq!(revision["taskDefinition"], one["taskDefinition"]);
        let image = &revision["containerImages"][0];
        assert_eq!(image["containerName"], "main", "{revision:#}");
        assert_eq!(image["image"], crate::harness::workload(), "{revision:#}");
    }
    for command in ["history", "describe"] {
        let cli = run(&server, &["service", command, "web"]);
        for words in ["alice@", "circuit breaker", "  main | line 25"] {
            assert!(cli.ok().contains(words), "no `{words}` in {}", cli.stdout);
        }
    }
    server.send("DELETE", "/v1/services/web?force=true", None, "");
    server.wait_until_clean();
}

#[test]
fn the_history_of_a_service_has_pages_and_says_what_it_moved_to() {
    let server = sim();
    let more = "launchType: FARGATE\nplatformVersion: \"1.4.0\"\n";
    create(&server, &document(1, more));
    steady(&server, 1, "web:1");
    update(
        &server,
        &json!({ "forceNewDeployment": true, "platformVersion": "LATEST" }),
    );
    steady(&server, 1, "web:1");
    let (_, first) = server.get("/v1/services/web/deployments?limit=1");
    let token = first["nextToken"].as_str().unwrap();
    let path = format!("/v1/services/web/deployments?limit=1&nextToken={token}");
    let (_, second) = server.get(&path);
    assert_eq!(second["nextToken"], Value::Null, "{second:#}");
    let revision = |page: &Value| {
        let id = page["items"][0]["serviceRevision"].as_str().unwrap();
        server.get(&format!("/v1/services/web/revisions/{id}")).1
    };
    let (newer, older) = (revision(&first), revision(&second));
    assert_ne!(newer["id"], older["id"]);
    for (revision, version) in [(&newer, "LATEST"), (&older, "1.4.0")] {
        assert_eq!(revision["launchType"], "FARGATE", "{revision:#}");
        assert_eq!(revision["platformVersion"], version, "{revision:#}");
    }
    assert_eq!(
        server
            .get("/v1/services/web/revisions/0000000000000000000")
            .0,
        404
    );
    assert_eq!(server.get("/v1/services/web/revisions/7").0, 400);
    let long = format!("neargate-client: {}", "x".repeat(129));
    let url = format!("{}/v1/services/web/rollback", server.endpoint());
    let refused = std::process::Command::new("curl")
        .args(["--silent", "--request", "POST", "--header", &long, &url])
        .output()
        .unwrap();
    let refused = String::from_utf8(refused.stdout).unwrap();
    assert!(
        refused.contains("the header neargate-client cannot be used"),
        "{refused}"
    );
}

//! Deployments as their users follow them: on a terminal, and again after a call of which nobody knows what has become.

use crate::cli::run;
use crate::harness::Typed;
use crate::service::{create, document, inactive, service, sim, steady};

#[test]
fn a_deployment_is_watched_on_a_terminal_and_goes_on_when_that_is_interrupted() {
    let server = sim();
    let slow = "family: slow\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n\
                - {name: main, image: \"stalled/workload\", command: [sleep]}\n";
    create(&server, &document(2, ""));
    steady(&server, 2, "web:1");
    server.register(slow);
    let mut args = [
        "service",
        "update",
        "web",
        "--wait",
        "--task-definition",
        "slow",
    ];
    let mut typed = Typed::start(&server.client(&args), 70, 20);
    typed.wait_for("service web: web:1 -> slow:1");
    typed.wait_for("  new  slow:1  [....................]  0 of 2 healthy  PENDING 2");
    typed.wait_for("  old  web:1   [####################]  2 healthy  RUNNING 2");
    typed.type_in("\x03");
    let (code, shown) = typed.end();
    assert_eq!(code, 130, "{shown}");
    let after = shown.rsplit("\x1b[J").next().unwrap();
    assert!(!after.contains("[####"), "the view is gone: {shown:?}");
    for words in [
        "web: 0 of 2 tasks of slow:1 running, 2 pending, 2 older",
        "error: interrupted",
        "hint: the deployment goes on; how it gets on: neargate service describe web",
    ] {
        assert!(after.contains(words), "no `{words}` in {shown:?}");
    }
    assert_eq!(service(&server)["taskDefinition"], "slow:1");

    // Without an end by hand, the last thing that is said stays.
    args[5] = "web";
    let (code, shown) = Typed::start(&server.client(&args), 70, 20).end();
    assert_eq!(code, 0, "{shown}");
    let after = shown.rsplit("\x1b[J").next().unwrap();
    assert!(
        after.contains("web: 2 of 2 tasks of web:1 running, 0 pending; steady"),
        "{shown:?}"
    );
    for line in shown.split(['\n', '\r']) {
        let text = line.rsplit("\x1b[J").next().unwrap();
        assert!(
            !text.starts_with("  ") || text.chars().count() < 70,
            "{text:?} is not too wide"
        );
    }
}

#[test]
fn a_token_makes_creating_a_service_safe_to_repeat() {
    let server = sim();
    let yaml = document(1, "clientToken: once\n");
    let first = create(&server, &yaml);
    let again = create(&server, &format!("clientToken: once\n{}", document(1, "")));
    assert_eq!(again["createdAt"], first["createdAt"], "{again:#}");
    assert_eq!(again["deployments"][0]["id"], first["deployments"][0]["id"]);
    let send = |path: &str, yaml: String| server.send("POST", path, Some(yaml), "application/yaml");
    let (status, refused) = send("/v1/services", document(2, "clientToken: once\n"));
    assert_eq!(status, 409, "{refused:#}");
    assert!(
        refused
            .to_string()
            .contains("Creation of service was not idempotent"),
        "{refused:#}"
    );
    // The document's own token counts, where it has one.
    let (status, _) = send("/v1/services?clientToken=other", yaml.clone());
    assert_eq!(status, 201);
    let (status, refused) = send("/v1/services?clientToken=other", document(1, ""));
    assert_eq!(status, 409, "the name is in use: {refused:#}");
    assert_eq!(send("/v1/services?clientToken=", yaml.clone()).0, 400);
    // What has the name now was not made by it.
    run(&server, &["service", "delete", "web", "--force"]).ok();
    inactive(&server);
    let (_, gone) = send("/v1/services", yaml.clone());
    assert_eq!(gone["status"], "INACTIVE", "{gone:#}");
    let other = create(&server, &document(1, ""));
    assert_ne!(other["createdAt"], first["createdAt"]);
    assert_eq!(send("/v1/services", yaml).0, 409);
}

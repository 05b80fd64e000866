//! Deployments as their users follow them: on a terminal.

use crate::cli::run;
use crate::harness::Typed;
use crate::service::{create, document, service, sim, steady};

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
        after.contains("web: 2 of 2 tasks of web:1 running; steady"),
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

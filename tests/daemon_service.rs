//! A service whose scheduling strategy is DAEMON, on the real engine: one task on the one host there is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cli::{fails, file, run};
use crate::harness::{Server, eventually};
use crate::service::{create, kill_container, service, steady, tasks, update};

const DOCUMENT: &str = "serviceName: web\ntaskDefinition: web\nschedulingStrategy: DAEMON\n";

#[test]
fn a_daemon_has_one_task_on_the_host_that_is_replaced_and_rolled() {
    let server = Server::start();
    server.register_workload("web", &["sleep"]);
    let counted = file(
        &server,
        "counted.yaml",
        &format!("{DOCUMENT}desiredCount: 2\n"),
    );
    fails(
        &run(&server, &["service", "create", &counted]),
        1,
        &["counted.yaml:4:1: desiredCount: is there, but a DAEMON has one task on each host"],
    );
    let answer = create(&server, DOCUMENT);
    assert_eq!(answer["schedulingStrategy"], "DAEMON", "{answer:#}");
    let configuration = &answer["deploymentConfiguration"];
    assert_eq!(configuration["minimumHealthyPercent"], 0, "{answer:#}");
    assert_eq!(configuration["maximumPercent"], 100, "{answer:#}");
    let first = steady(&server, 1, "web:1");
    assert_eq!(service(&server)["desiredCount"], 1);

    // A dead one is replaced, and never by two.
    kill_container(&first[0]);
    let dead = first[0]["taskId"].clone();
    let second = eventually("the dead task to be replaced", || {
        let (there, service) = (at_most_one(&server), service(&server));
        match there.first() {
            Some(task) if task["taskId"] != dead && service["steady"] == true => Ok(task.clone()),
            _ => Err(format!("{service:#}")),
        }
    });

    // How many is not for anybody to say.
    for refused in [
        run(&server, &["service", "scale", "web", "3"]),
        run(
            &server,
            &["service", "update", "web", "--desired-count", "0"],
        ),
    ] {
        let words = ["desiredCount: is there, but a DAEMON has one task on each host"];
        fails(&refused, 1, &words);
    }
    let two = ["service", "update", "web", "--maximum-percent", "200"];
    let words = ["maximumPercent: is 200, but a DAEMON never has two tasks on a host"];
    fails(&run(&server, &two), 1, &words);
    assert_eq!(steady(&server, 1, "web:1")[0]["taskId"], second["taskId"]);

    // The old one makes room for the new one, as there is one place.
    server.register_workload("web", &["sleep"]);
    update(&server, &json!({ "taskDefinition": "web:2" }));
    eventually("the new revision", || {
        let there = at_most_one(&server);
        let is_new = there
            .first()
            .is_some_and(|task| task["taskDefinition"] == "web:2");
        if is_new && service(&server)["steady"] == true {
            Ok(())
        } else {
            Err(format!("{there:#?}"))
        }
    });
    let (_, page) = server.get("/v1/tasks?serviceName=web&limit=1000");
    let all: BTreeSet<&str> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["taskId"].as_str().unwrap())
        .collect();
    assert_eq!(
        all.len(),
        3,
        "one, its replacement, and the new one: {page:#}"
    );

    // It cannot be scaled to nothing first, so as in ECS no force is needed.
    assert_eq!(run(&server, &["service", "delete", "web"]).code, 0);
    server.wait_until_clean();
}

/// The tasks that take a place: never more than one.
fn at_most_one(server: &Server) -> Vec<Value> {
    let places = ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"];
    let mut there = tasks(server);
    there.retain(|task| places.contains(&task["lastStatus"].as_str().unwrap()));
    assert!(there.len() <= 1, "{there:#?}");
    there
}

//! What can be written in several ways: names, and what nobody knows.

use serde_json::{Value, json};

use super::{call, done, hello, refused};
use crate::api::rest::tests::Api;

const ARN: &str = "arn:aws:ecs:us-east-1:000000000000";

/// A cluster `blue` with a service `web` and a task; the task's ID.
async fn things(api: &Api) -> String {
    done(api, "RegisterTaskDefinition", hello()).await;
    done(api, "CreateCluster", json!({ "clusterName": "blue" })).await;
    let web = json!({
        "cluster": "blue", "serviceName": "web", "taskDefinition": format!("{ARN}:task-definition/hello:1"), "desiredCount": 0,
    });
    done(api, "CreateService", web).await;
    let run =
        json!({ "cluster": "blue", "taskDefinition": format!("{ARN}:task-definition/hello") });
    let ran = done(api, "RunTask", run).await;
    let arn = ran["tasks"][0]["taskArn"].as_str().unwrap();
    arn.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn names_and_short_and_long_arns_are_taken_by_every_operation() {
    let api = Api::new().await;
    let id = things(&api).await;
    let clusters = ["blue".to_owned(), format!("{ARN}:cluster/blue")];
    let tasks = [
        id.clone(),
        format!("{ARN}:task/{id}"),
        format!("{ARN}:task/blue/{id}"),
    ];
    let services = [
        "web".to_owned(),
        format!("{ARN}:service/web"),
        format!("{ARN}:service/blue/web"),
    ];
    let definitions = [
        "hello".to_owned(),
        "hello:1".to_owned(),
        format!("{ARN}:task-definition/hello"),
        format!("{ARN}:task-definition/hello:1"),
    ];
    for cluster in &clusters {
        for (operation, input) in [
            ("DescribeClusters", json!({ "clusters": [cluster] })),
            ("UpdateCluster", json!({ "cluster": cluster })),
            (
                "UpdateClusterSettings",
                json!({ "cluster": cluster, "settings": [{ "name": "containerInsights", "value": "enabled" }] }),
            ),
            (
                "PutClusterCapacityProviders",
                json!({ "cluster": cluster, "capacityProviders": [], "defaultCapacityProviderStrategy": [] }),
            ),
            ("ListTasks", json!({ "cluster": cluster })),
            ("ListServices", json!({ "cluster": cluster })),
        ] {
            done(&api, operation, input).await;
        }
        for task in &tasks {
            for operation in ["DescribeTasks", "GetTaskProtection"] {
                let found = done(
                    &api,
                    operation,
                    json!({ "cluster": cluster, "tasks": [task] }),
                )
                .await;
                assert_eq!(found["failures"], json!([]), "{operation} {task}");
            }
            let protect =
                json!({ "cluster": cluster, "tasks": [task], "protectionEnabled": false });
            let found = done(&api, "UpdateTaskProtection", protect).await;
            assert_ne!(found["failures"][0]["reason"], "MISSING", "{task}");
        }
        for service in &services {
            let of = json!({ "cluster": cluster, "services": [service] });
            let found = done(&api, "DescribeServices", of).await;
            assert_eq!(found["services"][0]["serviceName"], "web", "{service}");
            let listed = json!({ "cluster": cluster, "serviceName": service });
            done(&api, "ListTasks", listed).await;
            for definition in &definitions {
                let change =
                    json!({ "cluster": cluster, "service": service, "taskDefinition": definition });
                done(&api, "UpdateService", change).await;
            }
        }
    }
    for definition in &definitions {
        let one = json!({ "taskDefinition": definition });
        let found = done(&api, "DescribeTaskDefinition", one).await;
        assert_eq!(found["taskDefinition"]["revision"], 1, "{definition}");
        let run = json!({ "cluster": "blue", "taskDefinition": definition });
        done(&api, "RunTask", run).await;
    }
    for task in &tasks {
        done(&api, "StopTask", json!({ "cluster": "blue", "task": task })).await;
        // Of another cluster it is nobody's, and a long ARN is told so.
        let said = refused(&api, "StopTask", json!({ "task": task })).await;
        assert!(said.starts_with("InvalidParameterException: "), "{said}");
    }
    let again = json!({ "cluster": clusters[1], "service": services[2] });
    done(&api, "DeleteService", again).await;
    for (operation, name) in [
        ("DeregisterTaskDefinition", "taskDefinition"),
        ("DeleteTaskDefinitions", "taskDefinitions"),
    ] {
        let arn = json!(definitions[3]);
        let value = if name.ends_with('s') {
            json!([arn])
        } else {
            arn
        };
        let mut input = json!({});
        input[name] = value;
        let gone = done(&api, operation, input).await;
        assert!(
            gone["failures"].as_array().is_none_or(Vec::is_empty),
            "{gone}"
        );
    }
}

#[tokio::test]
async fn what_ecs_does_not_know_is_ignored_and_what_it_knows_is_not() {
    let api = Api::new().await;
    let mut definition = hello();
    // What tools send back that have read it before.
    for (name, value) in [
        ("status", json!("ACTIVE")),
        ("revision", json!(7)),
        ("registeredAt", json!(1)),
        ("compatibilities", json!(["EC2"])),
    ] {
        definition[name] = value;
    }
    definition["containerDefinitions"][0]["colour"] = json!({ "a": [1] });
    let made = done(&api, "RegisterTaskDefinition", definition).await;
    assert_eq!(made["taskDefinition"]["revision"], 1);
    assert_eq!(
        made["taskDefinition"]["containerDefinitions"][0]["colour"],
        Value::Null
    );
    let listed = json!({ "clusters": 1, "maxResults": 1 });
    done(&api, "ListTasks", listed).await;
    // Wrong is still wrong, however deep.
    let mut definition = hello();
    definition["containerDefinitions"][0]["command"] = json!("a");
    let said = refused(&api, "RegisterTaskDefinition", definition).await;
    assert!(said.contains("containerDefinitions[0].command"), "{said}");
    let run = json!({ "taskDefinition": "hello", "overrides": { "containerOverrides": [
        { "name": "hello", "environmentFiles": [{ "type": "s3", "value": "arn:aws:s3:::a/b" }] },
    ] } });
    let said = refused(&api, "RunTask", run).await;
    assert!(said.contains("environmentFiles"), "{said}");
    let (status, answer) = call(
        &api,
        "RegisterTaskDefinition",
        &json!({ "runtime": "runsc" }),
    )
    .await;
    assert_eq!(status, 400, "{answer}");
    assert!(
        answer["message"].as_str().unwrap().contains("runtime"),
        "{answer}"
    );
}

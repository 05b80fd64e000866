//! What can be written in several ways: names, pages, and what nobody knows.

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

/// Every item of a list, read in pages of `size`, and how many pages there were.
async fn pages(
    api: &Api,
    operation: &str,
    mut input: Value,
    list: &str,
    size: usize,
) -> (Vec<String>, usize) {
    let (mut all, mut count) = (Vec::new(), 0);
    input["maxResults"] = json!(size);
    loop {
        let page = done(api, operation, input.clone()).await;
        let items = page[list].as_array().unwrap();
        assert!(items.len() <= size, "{operation}: {page}");
        all.extend(items.iter().map(ToString::to_string));
        count += 1;
        assert!(count < 20, "{operation} has no end");
        if page["nextToken"].is_null() {
            return (all, count);
        }
        input["nextToken"] = page["nextToken"].clone();
    }
}

#[tokio::test]
async fn every_list_comes_in_pages_of_the_size_that_was_asked_for() {
    let api = Api::new().await;
    for (n, family) in ["a", "b", "c"].into_iter().enumerate() {
        let mut definition = hello();
        definition["family"] = json!(family);
        done(&api, "RegisterTaskDefinition", definition).await;
        done(&api, "RunTask", json!({ "taskDefinition": family })).await;
        let service = json!({ "serviceName": family, "taskDefinition": family, "desiredCount": 0 });
        done(&api, "CreateService", service).await;
        if n < 2 {
            done(&api, "CreateCluster", json!({ "clusterName": family })).await;
        }
    }
    for (operation, list) in [
        ("ListClusters", "clusterArns"),
        ("ListServices", "serviceArns"),
        ("ListTaskDefinitions", "taskDefinitionArns"),
        ("ListTaskDefinitionFamilies", "families"),
        ("ListTasks", "taskArns"),
    ] {
        let (whole, one) = pages(&api, operation, json!({}), list, 100).await;
        assert_eq!((whole.len(), one), (3, 1), "{operation}");
        for size in [1, 2] {
            let (found, count) = pages(&api, operation, json!({}), list, size).await;
            assert_eq!(found, whole, "{operation}");
            assert_eq!(count, 3_usize.div_ceil(size), "{operation}");
        }
        for (input, said) in [
            (json!({ "maxResults": 0 }), "InvalidParameterException"),
            (json!({ "maxResults": 101 }), "InvalidParameterException"),
            (json!({ "nextToken": "x" }), "InvalidParameterException"),
        ] {
            let found = refused(&api, operation, input.clone()).await;
            assert!(found.starts_with(said), "{operation} {input}: {found}");
        }
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

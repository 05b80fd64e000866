//! What holds for all operations alike, as the model of ECS says it: what they require, and their pages.

use serde_json::{Value, json};

use super::fuzz::valid;
use super::{call, done, hello, refused};
use crate::api::ecs::members::tests::without_each;
use crate::api::ecs::table::{Answer, OPERATIONS, Operation};
use crate::api::rest::tests::Api;

/// What is carried out.
fn done_here() -> impl Iterator<Item = &'static Operation> {
    let all = OPERATIONS.iter();
    all.filter(|operation| matches!(operation.answer, Answer::Does(_)))
}

#[tokio::test]
async fn whatever_the_model_requires_is_missed_however_deep_it_is() {
    let api = Api::new().await;
    done(&api, "RegisterTaskDefinition", hello()).await;
    let mut count = 0;
    for operation in done_here() {
        let name = operation.name;
        let whole = valid(name);
        for (missing, input) in without_each(name, &whole) {
            let (status, answer) = call(&api, name, &input).await;
            let said = answer["message"].as_str().unwrap_or_default();
            assert_eq!(
                (status, &answer["__type"]),
                (400, &json!("InvalidParameterException")),
                "{name} without {missing}: {answer}"
            );
            assert!(
                said.to_lowercase().contains(&missing.to_lowercase()),
                "{name} without {missing}: {said}"
            );
            count += 1;
        }
    }
    assert!(count > 70, "{count} are few");
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

/// Three of everything that can be listed, but of account settings and container instances.
async fn with_three() -> Api {
    let api = Api::new().await;
    for name in ["a", "b", "c"] {
        let mut definition = hello();
        definition["family"] = json!(name);
        done(&api, "RegisterTaskDefinition", definition).await;
        done(&api, "RunTask", json!({ "taskDefinition": name })).await;
        let service = json!({
            "serviceName": name, "taskDefinition": name, "desiredCount": 0,
            "serviceConnectConfiguration": { "enabled": true, "namespace": "shop" },
        });
        done(&api, "CreateService", service).await;
        let again = json!({ "service": "a", "forceNewDeployment": true });
        if name != "a" {
            done(&api, "CreateCluster", json!({ "clusterName": name })).await;
            done(&api, "UpdateService", again).await;
        }
    }
    let group = json!({ "autoScalingGroupArn": "x" });
    let own = json!({ "name": "own", "autoScalingGroupProvider": group });
    done(&api, "CreateCapacityProvider", own).await;
    let hosts = done(&api, "ListContainerInstances", json!({})).await;
    let target = hosts["containerInstanceArns"][0].clone();
    let own = json!([{ "name": "own", "targetId": target }]);
    done(&api, "PutAttributes", json!({ "attributes": own })).await;
    api
}

#[tokio::test]
async fn every_list_goes_on_where_its_last_page_ended() {
    let api = with_three().await;
    let lists = [
        (
            "ListAccountSettings",
            json!({ "effectiveSettings": true }),
            "settings",
            11,
        ),
        (
            "ListAttributes",
            json!({ "targetType": "container-instance" }),
            "attributes",
            3,
        ),
        ("ListClusters", json!({}), "clusterArns", 3),
        (
            "ListContainerInstances",
            json!({}),
            "containerInstanceArns",
            1,
        ),
        (
            "ListServiceDeployments",
            json!({ "service": "a" }),
            "serviceDeployments",
            3,
        ),
        ("ListServices", json!({}), "serviceArns", 3),
        (
            "ListServicesByNamespace",
            json!({ "namespace": "shop" }),
            "serviceArns",
            3,
        ),
        ("ListTaskDefinitionFamilies", json!({}), "families", 3),
        ("ListTaskDefinitions", json!({}), "taskDefinitionArns", 3),
        ("ListTasks", json!({}), "taskArns", 3),
        (
            "DescribeCapacityProviders",
            json!({}),
            "capacityProviders",
            3,
        ),
    ];
    // Whatever has pages is among them.
    for operation in done_here() {
        let has_pages = operation
            .fields
            .iter()
            .any(|field| field.name == "nextToken");
        let is_listed = lists.iter().any(|(name, ..)| *name == operation.name);
        assert_eq!(has_pages, is_listed, "{}", operation.name);
    }
    for (operation, input, list, count) in lists {
        let (whole, _) = pages(&api, operation, input.clone(), list, 10).await;
        assert_eq!(whole.len(), count, "{operation}");
        for size in [1, 2] {
            let (found, read) = pages(&api, operation, input.clone(), list, size).await;
            assert_eq!(found, whole, "{operation}");
            assert_eq!(read, count.div_ceil(size), "{operation}");
        }
        for (name, value) in [
            ("maxResults", json!(0)),
            ("maxResults", json!(101)),
            ("nextToken", json!("x")),
        ] {
            let mut input = input.clone();
            input[name] = value;
            let said = refused(&api, operation, input.clone()).await;
            let expected = "InvalidParameterException: ";
            assert!(said.starts_with(expected), "{operation} {input}: {said}");
        }
    }
}

#[tokio::test]
async fn a_token_stands_for_all_that_a_run_asks_for() {
    let api = Api::new().await;
    done(&api, "RegisterTaskDefinition", hello()).await;
    let order = json!({
        "taskDefinition": "hello", "clientToken": "once", "launchType": "EC2", "platformVersion": "LATEST",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
        "placementStrategy": [{ "type": "spread", "field": "host" }], "enableECSManagedTags": true,
        "overrides": { "taskRoleArn": "arn:aws:iam::000000000000:role/x" },
    });
    let arn = |ran: &Value| ran["tasks"][0]["taskArn"].clone();
    let first = arn(&done(&api, "RunTask", order.clone()).await);
    assert_eq!(arn(&done(&api, "RunTask", order.clone()).await), first);
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-2"] } });
    for (name, value) in [
        ("launchType", json!("FARGATE")),
        ("launchType", Value::Null),
        ("networkConfiguration", network),
        ("placementStrategy", json!([])),
        ("enableECSManagedTags", json!(false)),
        (
            "overrides",
            json!({ "taskRoleArn": "arn:aws:iam::000000000000:role/y" }),
        ),
    ] {
        let mut other = order.clone();
        other[name] = value;
        let said = refused(&api, "RunTask", other.clone()).await;
        assert!(said.starts_with("ConflictException: "), "{other}: {said}");
    }
    let mut across = order.clone();
    across["launchType"].take();
    across["capacityProviderStrategy"] = json!([{ "capacityProvider": "FARGATE" }]);
    let said = refused(&api, "RunTask", across).await;
    assert!(said.starts_with("ConflictException: "), "{said}");
    // Whatever has become of the definition, the same call has the same answer.
    let gone = json!({ "taskDefinition": "hello:1" });
    done(&api, "DeregisterTaskDefinition", gone).await;
    assert_eq!(arn(&done(&api, "RunTask", order).await), first);
}

#[tokio::test]
async fn what_a_run_asks_for_in_vain_is_told_of_its_tasks() {
    let api = Api::new().await;
    done(&api, "RegisterTaskDefinition", hello()).await;
    let order = json!({
        "taskDefinition": "hello", "count": 2,
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1", "subnet-2"] } },
        "placementStrategy": [{ "type": "spread", "field": "host" }],
        "placementConstraints": [{ "type": "distinctInstance" }],
    });
    let ran = done(&api, "RunTask", order).await;
    for task in ran["tasks"].as_array().unwrap() {
        let subnet = json!({ "name": "subnetId", "value": "subnet-1" });
        assert_eq!(task["attachments"][0]["details"][0], subnet);
        let id = task["taskArn"].as_str().unwrap().rsplit('/').next();
        let path = format!("/v1/events?subject={}", id.unwrap());
        let events = api.get(&path).await;
        for what in [
            "networkConfiguration: has no effect",
            "placementStrategy: has no effect: there is one host",
            "placementConstraints: has no effect: there is one host",
        ] {
            assert!(events.text().contains(what), "{what}: {events:?}");
        }
    }
    // One without any of it has nothing to tell.
    let ran = done(&api, "RunTask", json!({ "taskDefinition": "hello" })).await;
    let task = &ran["tasks"][0];
    assert_eq!(
        task["attachments"][0]["details"][0]["name"],
        "networkInterfaceId"
    );
    let id = task["taskArn"].as_str().unwrap().rsplit('/').next();
    let path = format!("/v1/events?subject={}", id.unwrap());
    let events = api.get(&path).await;
    assert!(!events.text().contains("has no effect"), "{events:?}");
}

#[tokio::test]
async fn whoever_wants_a_command_run_is_told_what_to_use() {
    let api = Api::new().await;
    let command = json!({ "task": "0123", "command": "sh", "interactive": true });
    let said = refused(&api, "ExecuteCommand", command).await;
    assert!(said.starts_with("UnsupportedFeatureException: "), "{said}");
    assert!(said.contains("neargate exec TASK -- COMMAND"), "{said}");
}

//! ECS's protocol as its clients see it, in this process; the real clients are in `tests/ecs.rs`.

mod autoscaling;
mod fuzz;
mod keys;
mod logs;
mod model;
mod operations;
mod task_sets;
mod wire_forms;

use std::path::Path;

use axum::body::Body;
use axum::http::header;
use serde_json::{Value, json};

use super::{table, wire};
use crate::api::rest::tests::{Answer, Api, request};

/// Calls an operation.
pub(super) async fn call(api: &Api, operation: &str, input: &Value) -> (u16, Value) {
    let answer = send(api, operation, input.to_string().into()).await;
    (answer.status.as_u16(), answer.json())
}

async fn send(api: &Api, operation: &str, body: Body) -> Answer {
    // Of another service, it comes with what its name begins with.
    let target = match operation.split_once('.') {
        Some(_) => operation.to_owned(),
        None => format!("AmazonEC2ContainerServiceV20141113.{operation}"),
    };
    let request = request("POST", "/")
        .header("x-amz-target", target)
        .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
        .header(header::AUTHORIZATION, "AWS4-HMAC-SHA256 Credential=any");
    api.call(request.body(body).unwrap()).await
}

/// What an operation answers that must succeed.
async fn done(api: &Api, operation: &str, input: Value) -> Value {
    let (status, answer) = call(api, operation, &input).await;
    assert_eq!(status, 200, "{operation} {input}: {answer}");
    answer
}

/// The code and message of an operation that must be refused.
async fn refused(api: &Api, operation: &str, input: Value) -> String {
    let (status, answer) = call(api, operation, &input).await;
    assert_eq!(status, 400, "{operation} {input}: {answer}");
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    format!("{}: {}", text("__type"), text("message"))
}

fn hello() -> Value {
    json!({
        "family": "hello", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "networkMode": "awsvpc",
        "containerDefinitions": [{ "name": "hello", "image": "busybox", "portMappings": [{ "containerPort": 80 }] }],
        "tags": [{ "key": "team", "value": "shop" }],
    })
}

#[test]
fn the_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ecs-api.md");
    if std::env::var_os("NEARGATE_BLESS").is_some() {
        std::fs::write(&path, table::page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == table::page(),
        "docs/ecs-api.md is stale: NEARGATE_BLESS=1 cargo test --lib ecs"
    );
}

#[test]
fn every_operation_is_found_by_its_name() {
    for service in &wire::SERVICES {
        let target = service.target;
        for operation in service.operations {
            let (_, found) = wire::find(&format!("{target}{}", operation.name)).unwrap();
            assert_eq!(found.name, operation.name);
        }
        assert!(wire::find(&format!("{target}RunTasks")).is_none());
    }
    assert!(wire::find("Logs_20140328.RunTask").is_none());
}

#[tokio::test]
async fn an_answer_looks_as_those_of_aws() {
    let api = Api::new().await;
    let answer = send(&api, "ListClusters", "{}".into()).await;
    assert_eq!(answer.header("content-type"), "application/x-amz-json-1.1");
    let id = answer.header("x-amzn-requestid");
    assert_eq!((id.len(), id.matches('-').count()), (36, 4), "{id}");
    let arns = json!({ "clusterArns": ["arn:aws:ecs:us-east-1:000000000000:cluster/default"] });
    assert_eq!(answer.json(), arns);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_as_aws_does() {
    let api = Api::new().await;
    for (operation, body, said) in [
        ("NoSuchThing", "{}", "UnknownOperationException"),
        ("ListTasks", "", "SerializationException"),
        ("ListTasks", "{", "SerializationException"),
        ("ListTasks", "[]", "SerializationException"),
        ("ListTasks", r#"{"cluster": 1}"#, "SerializationException"),
        (
            "ListTasks",
            r#"{"maxResults": "1"}"#,
            "SerializationException",
        ),
        (
            "ListTasks",
            r#"{"maxResults": 99999999999}"#,
            "SerializationException",
        ),
        (
            "DescribeTasks",
            r#"{"tasks": [1]}"#,
            "SerializationException",
        ),
        (
            "ListTasks",
            r#"{"maxResults": 0}"#,
            "InvalidParameterException",
        ),
        (
            "CreateService",
            r#"{"serviceName": "web", "taskDefinition": "none", "monitoring": {}}"#,
            "InvalidParameterException",
        ),
        (
            "ListTasks",
            r#"{"nextToken": "x"}"#,
            "InvalidParameterException",
        ),
        (
            "ListTasks",
            r#"{"cluster": "red"}"#,
            "ClusterNotFoundException",
        ),
        ("RunTask", "{}", "InvalidParameterException"),
        (
            "RunTask",
            r#"{"taskDefinition": "none"}"#,
            "ClientException",
        ),
        (
            "RunTask",
            r#"{"taskDefinition": "none", "count": 11}"#,
            "InvalidParameterException",
        ),
        (
            "DescribeTasks",
            r#"{"tasks": []}"#,
            "InvalidParameterException",
        ),
        (
            "StopTask",
            r#"{"task": "0123456789abcdef0123456789abcdef"}"#,
            "InvalidParameterException",
        ),
        (
            "DescribeTaskDefinition",
            r#"{"taskDefinition": "none"}"#,
            "ClientException",
        ),
        (
            "UpdateService",
            r#"{"service": "none"}"#,
            "ServiceNotFoundException",
        ),
        (
            "DeleteService",
            r#"{"service": "none"}"#,
            "ServiceNotFoundException",
        ),
        ("CreateDaemon", "{}", "UnsupportedFeatureException"),
    ] {
        let answer = send(&api, operation, body.into()).await;
        assert_eq!(answer.status, 400, "{operation} {body}: {answer:?}");
        assert_eq!(
            answer.json()["__type"],
            said,
            "{operation} {body}: {answer:?}"
        );
        assert_eq!(answer.header("content-type"), "application/x-amz-json-1.1");
    }
    let plain = request("POST", "/").body("{}".into()).unwrap();
    let answer = api.call(plain).await;
    assert_eq!(answer.json()["__type"], "UnknownOperationException");
}

#[tokio::test]
async fn a_web_page_cannot_reach_it() {
    let api = Api::new().await;
    let target = "AmazonEC2ContainerServiceV20141113.ListClusters";
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.example"),
    ] {
        let mut asked = request("POST", "/")
            .header("x-amz-target", target)
            .body(Body::from("{}"))
            .unwrap();
        asked.headers_mut().insert(name, value.parse().unwrap());
        let answer = api.call(asked).await;
        assert_eq!(answer.status, 403, "{name}: {answer:?}");
        assert_eq!(answer.json()["__type"], "AccessDeniedException", "{name}");
    }
    // A form is what a browser may send without asking first.
    let mut form = request("POST", "/")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("Action=GetCallerIdentity"))
        .unwrap();
    let sent = "http://evil.example".parse().unwrap();
    form.headers_mut().insert(header::ORIGIN, sent);
    assert_eq!(api.call(form).await.status, 403);
}

#[tokio::test]
async fn a_server_with_a_token_refuses_signatures_that_nobody_verifies() {
    let setting = crate::api::rest::tests::Setting {
        token: Some("correct-horse-battery"),
        ..Default::default()
    };
    let api = Api::with(setting).await;
    let (status, answer) = call(&api, "ListClusters", &json!({})).await;
    assert_eq!(
        (status, &answer["__type"]),
        (401, &json!("AccessDeniedException"))
    );
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("neargate keys create"), "{message}");
}

#[tokio::test]
async fn too_large_a_body_is_refused_in_the_words_of_ecs() {
    let api = Api::new().await;
    let answer = send(&api, "ListClusters", vec![b' '; 1_048_577].into()).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["__type"], "ClientException");
}

#[tokio::test]
async fn whoever_asks_is_told_who_it_is() {
    let api = Api::new().await;
    let ask = async |body: &'static str| {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        api.post("/", form, body).await
    };
    let answer = ask("Action=GetCallerIdentity&Version=2011-06-15").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().contains("<Account>000000000000</Account>"),
        "{answer:?}"
    );
    let answer = ask("Action=AssumeRole&RoleArn=<x>").await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("<Code>InvalidAction</Code>"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_task_definition_comes_back_with_the_defaults_of_ecs_and_no_others() {
    let api = Api::new().await;
    let made = done(&api, "RegisterTaskDefinition", hello()).await;
    let described = json!({ "taskDefinition": "hello", "include": ["TAGS"] });
    let described = done(&api, "DescribeTaskDefinition", described).await;
    assert_eq!(made, described);
    let mut definition = made["taskDefinition"].clone();
    assert!(definition["registeredAt"].as_f64().unwrap() > 1.7e9);
    definition.as_object_mut().unwrap().remove("registeredAt");
    assert_eq!(
        definition,
        json!({
            "taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/hello:1",
            "family": "hello", "revision": 1, "status": "ACTIVE", "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"], "compatibilities": ["EC2", "FARGATE"],
            "cpu": "256", "memory": "512", "volumes": [], "placementConstraints": [],
            "requiresAttributes": [
                { "name": "com.amazonaws.ecs.capability.docker-remote-api.1.18" },
                { "name": "ecs.capability.task-eni" },
            ],
            "registeredBy": "arn:aws:iam::000000000000:root",
            "containerDefinitions": [{
                "name": "hello", "image": "busybox", "cpu": 0, "essential": true,
                "portMappings": [{ "containerPort": 80, "hostPort": 80, "protocol": "tcp" }],
                "environment": [], "mountPoints": [], "volumesFrom": [], "systemControls": [],
            }],
        })
    );
    assert_eq!(made["tags"], json!([{ "key": "team", "value": "shop" }]));
    let again = made["taskDefinition"].clone();
    let mut again = json!({
        "family": "hello", "containerDefinitions": again["containerDefinitions"],
        "volumes": again["volumes"], "cpu": again["cpu"], "memory": again["memory"],
    });
    again["family"] = json!("other");
    let other = done(&api, "RegisterTaskDefinition", again).await;
    assert_eq!(
        other["taskDefinition"]["containerDefinitions"],
        made["taskDefinition"]["containerDefinitions"]
    );
}

#[tokio::test]
async fn revisions_are_listed_from_both_ends_and_deleted_when_they_are_inactive() {
    let api = Api::new().await;
    for _ in 0..3 {
        done(&api, "RegisterTaskDefinition", hello()).await;
    }
    let arn = |revision: u32| {
        format!("arn:aws:ecs:us-east-1:000000000000:task-definition/hello:{revision}")
    };
    let newest = json!({ "familyPrefix": "hello", "sort": "DESC", "maxResults": 2 });
    let page = done(&api, "ListTaskDefinitions", newest).await;
    assert_eq!(page["taskDefinitionArns"], json!([arn(3), arn(2)]));
    let next = json!({ "familyPrefix": "hello", "sort": "DESC", "nextToken": page["nextToken"] });
    let page = done(&api, "ListTaskDefinitions", next).await;
    assert_eq!(page, json!({ "taskDefinitionArns": [arn(1)] }));
    let page = done(
        &api,
        "ListTaskDefinitions",
        json!({ "familyPrefix": "hel" }),
    )
    .await;
    assert_eq!(page, json!({ "taskDefinitionArns": [] }));

    let both = json!({ "taskDefinitions": ["hello:1", "hello:2", "hello:9"] });
    let gone = done(
        &api,
        "DeregisterTaskDefinition",
        json!({ "taskDefinition": arn(1) }),
    )
    .await;
    assert_eq!(gone["taskDefinition"]["status"], "INACTIVE");
    let gone = done(&api, "DeleteTaskDefinitions", both).await;
    assert_eq!(gone["taskDefinitions"][0]["status"], "DELETE_IN_PROGRESS");
    let failed: Vec<&Value> = gone["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["arn"])
        .collect();
    assert_eq!(failed, [&json!(arn(2)), &json!(arn(9))]);
    for revision in [2, 3] {
        done(
            &api,
            "DeregisterTaskDefinition",
            json!({ "taskDefinition": arn(revision) }),
        )
        .await;
    }
    let families = done(
        &api,
        "ListTaskDefinitionFamilies",
        json!({ "status": "INACTIVE" }),
    )
    .await;
    assert_eq!(families, json!({ "families": ["hello"] }));
    let said = refused(&api, "RunTask", json!({ "taskDefinition": "hello:3" })).await;
    assert_eq!(said, "ClientException: TaskDefinition is inactive");
}

#[tokio::test]
async fn a_task_is_run_described_listed_and_stopped() {
    let api = Api::new().await;
    done(&api, "RegisterTaskDefinition", hello()).await;
    let order = json!({
        "taskDefinition": "arn:aws:ecs:us-east-1:000000000000:task-definition/hello:1", "count": 2,
        "launchType": "FARGATE", "startedBy": "me", "clientToken": "once", "propagateTags": "TASK_DEFINITION",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
        "overrides": {
            "taskRoleArn": "arn:aws:iam::000000000000:role/x",
            "containerOverrides": [{ "name": "hello", "command": ["a"] }],
        },
        "tags": [{ "key": "own", "value": "1" }],
    });
    let ran = done(&api, "RunTask", order.clone()).await;
    assert_eq!(ran["failures"], json!([]));
    let again = done(&api, "RunTask", order.clone()).await;
    assert_eq!(again["tasks"][1]["taskArn"], ran["tasks"][1]["taskArn"]);
    let mut other = order;
    other["count"] = json!(1);
    let said = refused(&api, "RunTask", other).await;
    assert!(said.starts_with("ConflictException: "), "{said}");

    let task = &ran["tasks"][0];
    let arn = task["taskArn"].as_str().unwrap();
    assert_eq!(task["lastStatus"], "PROVISIONING");
    assert_eq!(
        task["overrides"]["containerOverrides"],
        json!([{ "name": "hello", "command": ["a"] }])
    );
    assert_eq!(
        task["overrides"]["taskRoleArn"],
        "arn:aws:iam::000000000000:role/x"
    );
    assert_eq!(task["attachments"][0]["type"], "ElasticNetworkInterface");
    let tags = json!([{ "key": "own", "value": "1" }, { "key": "team", "value": "shop" }]);
    assert_eq!(task["tags"], tags);
    let listed = done(&api, "ListTagsForResource", json!({ "resourceArn": arn })).await;
    assert_eq!(listed, json!({ "tags": tags }));

    let nobody = "arn:aws:ecs:us-east-1:000000000000:task/default/ffffffffffffffffffffffffffffffff";
    let found = done(&api, "DescribeTasks", json!({ "tasks": [arn, nobody] })).await;
    assert_eq!(found["tasks"][0]["tags"], json!([]));
    assert_eq!(
        found["failures"],
        json!([{ "arn": nobody, "reason": "MISSING" }])
    );
    let page = done(
        &api,
        "ListTasks",
        json!({ "startedBy": "me", "maxResults": 1 }),
    )
    .await;
    assert_eq!(page["taskArns"].as_array().unwrap().len(), 1);
    let next = json!({ "startedBy": "me", "nextToken": page["nextToken"] });
    let page = done(&api, "ListTasks", next).await;
    assert_eq!(page, json!({ "taskArns": [arn] }));
    for elsewhere in [
        json!({ "launchType": "EC2" }),
        json!({ "desiredStatus": "STOPPED" }),
    ] {
        let page = done(&api, "ListTasks", elsewhere).await;
        assert_eq!(page, json!({ "taskArns": [] }));
    }
    let said = refused(&api, "ListTasks", json!({ "serviceName": "none" })).await;
    assert_eq!(said, "ServiceNotFoundException: Service not found.");

    let stopped = done(&api, "StopTask", json!({ "task": arn, "reason": "enough" })).await;
    assert_eq!(stopped["task"]["desiredStatus"], "STOPPED");
    let blue = json!({ "clusterName": "blue" });
    done(&api, "CreateCluster", blue).await;
    let id = arn.rsplit('/').next().unwrap();
    let said = refused(&api, "StopTask", json!({ "cluster": "blue", "task": id })).await;
    assert_eq!(
        said,
        "InvalidParameterException: The referenced task was not found."
    );
}

#[tokio::test]
async fn a_service_is_made_changed_and_deleted() {
    let api = Api::new().await;
    done(&api, "RegisterTaskDefinition", hello()).await;
    let blue = json!({ "clusterName": "blue", "tags": [{ "key": "a", "value": "b" }] });
    done(&api, "CreateCluster", blue).await;
    let order = json!({
        "cluster": "blue", "serviceName": "web", "taskDefinition": "hello", "desiredCount": 2,
        "launchType": "FARGATE", "propagateTags": "SERVICE", "tags": [{ "key": "k", "value": "v" }], "clientToken": "once",
        "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
    });
    let made = done(&api, "CreateService", order.clone()).await["service"].take();
    let arn = "arn:aws:ecs:us-east-1:000000000000:service/blue/web";
    assert_eq!(made["serviceArn"], arn);
    assert_eq!(made["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert_eq!(
        (&made["desiredCount"], &made["propagateTags"]),
        (&json!(2), &json!("SERVICE"))
    );
    let subnets = &made["networkConfiguration"]["awsvpcConfiguration"]["subnets"];
    assert_eq!(subnets, &json!(["subnet-1"]));
    let again = done(&api, "CreateService", order.clone()).await;
    assert_eq!(again["service"]["createdAt"], made["createdAt"]);
    let mut other = order.clone();
    other["desiredCount"] = json!(1);
    let said = refused(&api, "CreateService", other.clone()).await;
    assert_eq!(
        said,
        "InvalidParameterException: Creation of service was not idempotent."
    );
    other["clientToken"] = json!("twice");
    let said = refused(&api, "CreateService", other).await;
    assert_eq!(
        said,
        "InvalidParameterException: Creation of service was not idempotent."
    );
    let page = done(&api, "ListServices", json!({ "cluster": "blue" })).await;
    assert_eq!(page, json!({ "serviceArns": [arn] }));
    let said = refused(&api, "DeleteCluster", json!({ "cluster": "blue" })).await;
    assert!(
        said.starts_with("ClusterContainsServicesException: "),
        "{said}"
    );
    let shown = done(
        &api,
        "DescribeClusters",
        json!({ "clusters": ["blue", "red"], "include": ["TAGS"] }),
    )
    .await;
    assert_eq!(shown["clusters"][0]["activeServicesCount"], 1);
    assert_eq!(
        shown["clusters"][0]["tags"],
        json!([{ "key": "a", "value": "b" }])
    );
    assert_eq!(shown["failures"][0]["reason"], "MISSING");

    let change =
        json!({ "cluster": "blue", "service": arn, "desiredCount": 3, "forceNewDeployment": true });
    let changed = done(&api, "UpdateService", change).await["service"].take();
    assert_eq!(
        (
            &changed["desiredCount"],
            changed["deployments"].as_array().unwrap().len()
        ),
        (&json!(3), 2)
    );
    let of = json!({ "cluster": "blue", "service": "web" });
    let said = refused(&api, "DeleteService", of.clone()).await;
    assert!(
        said.ends_with("cannot be stopped while it is scaled above 0."),
        "{said}"
    );
    let none = json!({ "cluster": "blue", "service": "web", "desiredCount": 0 });
    done(&api, "UpdateService", none).await;
    let gone = done(&api, "DeleteService", of.clone()).await;
    assert_eq!(gone["service"]["status"], "DRAINING");
    let said = refused(&api, "UpdateService", of).await;
    assert_eq!(said, "ServiceNotActiveException: Service was not ACTIVE.");
    let found = done(
        &api,
        "DescribeServices",
        json!({ "cluster": "blue", "services": ["web", "none"] }),
    )
    .await;
    assert_eq!(
        found["failures"][0]["arn"],
        "arn:aws:ecs:us-east-1:000000000000:service/blue/none"
    );
    assert!(
        found["services"][0]["events"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("(service web) ")
    );
}

#[tokio::test]
async fn what_is_kept_of_a_cluster_is_given_back() {
    let api = Api::new().await;
    let insights = json!([{ "name": "containerInsights", "value": "enabled" }]);
    let strategy = json!([{ "capacityProvider": "FARGATE", "weight": 1, "base": 1 }]);
    done(
        &api,
        "CreateCluster",
        json!({ "clusterName": "blue", "settings": insights }),
    )
    .await;
    let put = json!({
        "cluster": "blue", "capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": strategy,
    });
    let put = done(&api, "PutClusterCapacityProviders", put).await;
    assert_eq!(put["cluster"]["defaultCapacityProviderStrategy"], strategy);
    assert_eq!(put["cluster"]["settings"], insights);
    let arn = "arn:aws:ecs:us-east-1:000000000000:cluster/blue";
    let tags = json!([{ "key": "a", "value": "b" }]);
    done(
        &api,
        "TagResource",
        json!({ "resourceArn": arn, "tags": tags }),
    )
    .await;
    let listed = done(&api, "ListTagsForResource", json!({ "resourceArn": arn })).await;
    assert_eq!(listed, json!({ "tags": tags }));
    done(
        &api,
        "UntagResource",
        json!({ "resourceArn": arn, "tagKeys": ["a"] }),
    )
    .await;
    let listed = done(&api, "ListTagsForResource", json!({ "resourceArn": arn })).await;
    assert_eq!(listed, json!({ "tags": [] }));
    let garbage = json!({ "clusterName": "red", "settings": [1] });
    let said = refused(&api, "CreateCluster", garbage).await;
    assert!(
        said.starts_with("InvalidParameterException: settings"),
        "{said}"
    );
    let gone = done(&api, "DeleteCluster", json!({ "cluster": arn })).await;
    assert_eq!(gone["cluster"]["status"], "INACTIVE");
    let said = refused(&api, "DeleteCluster", json!({ "cluster": "blue" })).await;
    assert_eq!(said, "ClusterNotFoundException: Cluster not found.");
}

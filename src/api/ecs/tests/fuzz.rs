//! Requests that are valid but for what a fuzzer did to them: none may fail for a reason of ours, or panic.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{call, hello, send};
use crate::api::ecs::table::Answer;
use crate::api::ecs::wire::SERVICES;
use crate::api::rest::tests::Api;

/// Stands for a task in what is valid.
const NO_TASK: &str = "0123456789abcdef0123456789abcdef";

/// A call of each operation that is carried out, as it should be.
#[expect(clippy::too_many_lines, reason = "a table, one row for each operation")]
pub(super) fn valid(operation: &str) -> Value {
    let id = "0123456789abcdef0123456789abcdef";
    let cluster = "arn:aws:ecs:us-east-1:000000000000:cluster/default";
    let deployment =
        "arn:aws:ecs:us-east-1:000000000000:service-deployment/default/web/0000000000000000001";
    let set = "ecs-svc/0000000000000000002";
    let ecs = "AmazonEC2ContainerServiceV20141113.";
    match operation.strip_prefix(ecs).unwrap_or(operation) {
        "RegisterTaskDefinition" => rich(),
        "RunTask" => json!({
            "taskDefinition": "hello:1", "count": 1, "cluster": cluster, "startedBy": "me", "group": "mine",
            "overrides": { "cpu": "512", "memory": "1024", "taskRoleArn": "arn:aws:iam::1:role/x",
                "containerOverrides": [{ "name": "hello", "command": ["x"], "environment": [{ "name": "A", "value": "b" }] }] },
            "tags": [{ "key": "a", "value": "b" }], "propagateTags": "TASK_DEFINITION", "clientToken": "token",
            "capacityProviderStrategy": [{ "capacityProvider": "FARGATE" }],
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
            "placementStrategy": [{ "type": "spread", "field": "host" }], "referenceId": "x", "enableExecuteCommand": true,
            "placementConstraints": [{ "type": "memberOf", "expression": "a" }], "platformVersion": "LATEST",
        }),
        "CreateService" => json!({
            "cluster": "default", "serviceName": "web", "taskDefinition": "hello", "desiredCount": 1,
            "deploymentConfiguration": { "minimumHealthyPercent": 100, "maximumPercent": 200,
                "deploymentCircuitBreaker": { "enable": true, "rollback": true } },
            "tags": [{ "key": "a", "value": "b" }], "deploymentController": { "type": "ECS" }, "clientToken": "token",
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
            "capacityProviderStrategy": [{ "capacityProvider": "FARGATE" }],
            "serviceConnectConfiguration": { "enabled": true, "namespace": "shop", "services": [
                { "portName": "http", "clientAliases": [{ "port": 80 }] },
            ], "logConfiguration": { "logDriver": "json-file" } },
        }),
        "CreateCluster" => json!({
            "clusterName": "blue", "settings": [{ "name": "containerInsights", "value": "enabled" }],
            "capacityProviders": ["FARGATE"], "tags": [{ "key": "a", "value": "b" }],
            "configuration": { "executeCommandConfiguration": { "logging": "DEFAULT" } },
            "defaultCapacityProviderStrategy": [{ "capacityProvider": "FARGATE", "weight": 1 }],
            "serviceConnectDefaults": { "namespace": "shop" },
        }),
        "DescribeClusters" => {
            json!({ "clusters": ["default", cluster], "include": ["TAGS", "SETTINGS"] })
        }
        "DescribeTasks" | "GetTaskProtection" => json!({ "cluster": cluster, "tasks": [id] }),
        "UpdateTaskProtection" => json!({
            "cluster": cluster, "tasks": [id], "protectionEnabled": true, "expiresInMinutes": 5,
        }),
        "DescribeServices" => json!({ "services": ["web"], "include": ["TAGS"] }),
        "UpdateService" => {
            json!({ "service": "web", "desiredCount": 2, "forceNewDeployment": true })
        }
        "DeleteService" => json!({ "service": "web", "force": true }),
        "DeleteTaskDefinitions" => json!({ "taskDefinitions": ["hello:7"] }),
        "DescribeTaskDefinition" => json!({ "taskDefinition": "hello", "include": ["TAGS"] }),
        "DeregisterTaskDefinition" => json!({ "taskDefinition": "hello:7" }),
        "DeleteCluster" => json!({ "cluster": "blue" }),
        "PutClusterCapacityProviders" => json!({
            "cluster": "default", "capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": [],
        }),
        "UpdateCluster" | "UpdateClusterSettings" => json!({
            "cluster": "default", "settings": [{ "name": "containerInsights", "value": "enabled" }],
        }),
        "StopTask" => json!({ "task": id, "reason": "enough" }),
        "ListServiceDeployments" => json!({
            "service": "web", "status": ["SUCCESSFUL"], "createdAt": { "before": 1.5e9, "after": 0 }, "maxResults": 3,
        }),
        "DescribeServiceDeployments" => json!({ "serviceDeploymentArns": [deployment] }),
        "StopServiceDeployment" => {
            json!({ "serviceDeploymentArn": deployment, "stopType": "ABORT" })
        }
        "DescribeServiceRevisions" => json!({ "serviceRevisionArns": [
            "arn:aws:ecs:us-east-1:000000000000:service-revision/default/web/0000000000000000001",
        ] }),
        "CreateCapacityProvider" => json!({
            "name": "own", "tags": [{ "key": "a", "value": "b" }],
            "autoScalingGroupProvider": { "autoScalingGroupArn": "x", "managedScaling": { "status": "ENABLED", "targetCapacity": 9 } },
        }),
        "UpdateCapacityProvider" => json!({
            "name": "own", "autoScalingGroupProvider": { "managedScaling": { "status": "ENABLED" } },
        }),
        "DeleteCapacityProvider" => json!({ "capacityProvider": "own" }),
        "DescribeCapacityProviders" => {
            json!({ "capacityProviders": ["FARGATE"], "include": ["TAGS"] })
        }
        "PutAttributes" | "DeleteAttributes" => json!({
            "cluster": cluster, "attributes": [{ "name": "a", "value": "b", "targetId": id, "targetType": "container-instance" }],
        }),
        "ListAttributes" => json!({
            "targetType": "container-instance", "attributeName": "a", "attributeValue": "b", "maxResults": 2,
        }),
        "DescribeContainerInstances" => json!({ "containerInstances": [id], "include": ["TAGS"] }),
        "UpdateContainerInstancesState" => {
            json!({ "containerInstances": [id], "status": "DRAINING" })
        }
        "StartTask" => {
            json!({ "containerInstances": [id], "taskDefinition": "hello", "enableECSManagedTags": true })
        }
        "PutAccountSetting" | "PutAccountSettingDefault" => {
            json!({ "name": "containerInsights", "value": "enabled" })
        }
        "DeleteAccountSetting" => json!({ "name": "containerInsights" }),
        "TagResource" => json!({ "resourceArn": cluster, "tags": [{ "key": "a", "value": "b" }] }),
        "UntagResource" => json!({ "resourceArn": cluster, "tagKeys": ["a"] }),
        "ListTagsForResource" => json!({ "resourceArn": cluster }),
        "ListAccountSettings" => json!({ "effectiveSettings": true, "name": "taskLongArnFormat" }),
        "CreateTaskSet" => json!({
            "service": "ext", "cluster": cluster, "taskDefinition": "hello", "externalId": "x", "clientToken": "token",
            "scale": { "value": 50.0, "unit": "PERCENT" }, "tags": [{ "key": "a", "value": "b" }],
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
            "capacityProviderStrategy": [{ "capacityProvider": "FARGATE" }],
        }),
        "DescribeTaskSets" => {
            json!({ "service": "ext", "cluster": cluster, "taskSets": [set], "include": ["TAGS"] })
        }
        "UpdateTaskSet" => json!({
            "service": "ext", "cluster": cluster, "taskSet": set, "scale": { "value": 10, "unit": "PERCENT" },
        }),
        "UpdateServicePrimaryTaskSet" => {
            json!({ "service": "ext", "cluster": cluster, "primaryTaskSet": set })
        }
        "DeleteTaskSet" => {
            json!({ "service": "ext", "cluster": cluster, "taskSet": set, "force": true })
        }
        "ListServicesByNamespace" => {
            json!({ "namespace": "shop", "maxResults": 3, "nextToken": null })
        }
        "ListServices" => json!({
            "cluster": cluster, "launchType": "FARGATE", "schedulingStrategy": "REPLICA", "maxResults": 3,
            "resourceManagementType": "CUSTOMER",
        }),
        "ListContainerInstances" => {
            json!({ "cluster": cluster, "status": "ACTIVE", "maxResults": 3 })
        }
        "ListTaskDefinitions" => {
            json!({ "familyPrefix": "hello", "status": "ACTIVE", "sort": "DESC", "maxResults": 3 })
        }
        "ListTaskDefinitionFamilies" => {
            json!({ "familyPrefix": "hel", "status": "ALL", "maxResults": 3 })
        }
        "ListClusters" => json!({ "maxResults": 3 }),
        "ListTasks" => {
            json!({ "cluster": cluster, "family": "hello", "desiredStatus": "RUNNING", "maxResults": 3 })
        }
        "Logs_20140328.CreateLogGroup" => json!({ "logGroupName": "/web", "tags": { "a": "b" } }),
        "Logs_20140328.CreateLogStream" => {
            json!({ "logGroupName": "/web", "logStreamName": "a/b" })
        }
        "Logs_20140328.GetLogEvents" => json!({
            "logGroupName": "/web", "logStreamName": "a/b", "startTime": 1, "endTime": 1_700_000_000_000_i64,
            "nextToken": "f/1/0", "limit": 5, "startFromHead": true,
        }),
        "Logs_20140328.FilterLogEvents" => json!({
            "logGroupName": "/web", "logStreamNamePrefix": "a", "filterPattern": "ERROR -\"b c\"", "nextToken": "0/1/0/1",
            "startTime": 1, "endTime": 1_700_000_000_000_i64, "interleaved": true,
        }),
        "Logs_20140328.DescribeLogStreams" => {
            json!({ "logGroupName": "/web", "orderBy": "LastEventTime", "descending": true, "limit": 3 })
        }
        "Logs_20140328.DescribeLogGroups" => json!({ "logGroupNamePrefix": "/", "limit": 3 }),
        "Logs_20140328.PutRetentionPolicy" => {
            json!({ "logGroupName": "/web", "retentionInDays": 7 })
        }
        "Logs_20140328.DeleteLogGroup"
        | "Logs_20140328.DeleteRetentionPolicy"
        | "Logs_20140328.ListTagsLogGroup" => json!({ "logGroupName": "/web" }),
        "Logs_20140328.ListTagsForResource" => {
            json!({ "resourceArn": "arn:aws:logs:us-east-1:000000000000:log-group:/web" })
        }
        "Logs_20140328.TagResource" => json!({ "resourceArn": "/web", "tags": { "a": "b" } }),
        "Logs_20140328.UntagResource" => json!({ "resourceArn": "/web", "tagKeys": ["a"] }),
        target => match target.strip_prefix("AnyScaleFrontendService.") {
            Some(operation) => valid_scaling(operation),
            None => panic!("{target} is not fuzzed"),
        },
    }
}

/// A task definition with something of everything that has members that it needs.
fn rich() -> Value {
    let mut definition = hello();
    definition["volumes"] =
        json!([{ "name": "data", "efsVolumeConfiguration": { "fileSystemId": "fs-1" } }]);
    definition["ephemeralStorage"] = json!({ "sizeInGiB": 21 });
    definition["proxyConfiguration"] = json!({ "type": "APPMESH", "containerName": "hello" });
    let container = &mut definition["containerDefinitions"][0];
    for (name, value) in [
        ("healthCheck", json!({ "command": ["CMD", "true"] })),
        (
            "ulimits",
            json!([{ "name": "nofile", "softLimit": 64, "hardLimit": 64 }]),
        ),
        ("restartPolicy", json!({ "enabled": true })),
        (
            "logConfiguration",
            json!({ "logDriver": "awslogs", "options": { "awslogs-group": "/web" } }),
        ),
    ] {
        container[name] = value;
    }
    let mut other = container.clone();
    other["name"] = json!("other");
    other["portMappings"] = json!([]);
    other["dependsOn"] = json!([{ "containerName": "hello", "condition": "START" }]);
    definition["containerDefinitions"]
        .as_array_mut()
        .unwrap()
        .push(other);
    definition
}

/// The same of Application Auto Scaling.
fn valid_scaling(operation: &str) -> Value {
    let mut input = json!({
        "ServiceNamespace": "ecs", "ResourceId": "service/default/web", "ScalableDimension": "ecs:service:DesiredCount",
    });
    let more = match operation {
        "RegisterScalableTarget" => json!({
            "MinCapacity": 1, "MaxCapacity": 3, "SuspendedState": { "DynamicScalingInSuspended": true },
            "Tags": { "a": "b" },
        }),
        "PutScalingPolicy" => json!({
            "PolicyName": "cpu", "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 50.0, "ScaleInCooldown": 3, "DisableScaleIn": true,
                "PredefinedMetricSpecification": { "PredefinedMetricType": "ECSServiceAverageCPUUtilization" },
            },
        }),
        "DeleteScalingPolicy" => json!({ "PolicyName": "cpu" }),
        "DescribeScalingPolicies" => json!({ "PolicyNames": ["cpu"], "MaxResults": 3 }),
        "DescribeScalingActivities" => json!({ "MaxResults": 3 }),
        "DeregisterScalableTarget" => json!({}),
        "DescribeScalableTargets" => {
            return json!({ "ServiceNamespace": "ecs", "ResourceIds": ["service/default/web"] });
        }
        "ListTagsForResource" | "TagResource" | "UntagResource" => {
            let arn = "arn:aws:application-autoscaling:us-east-1:000000000000:scalable-target/0ec";
            return json!({ "ResourceARN": arn, "Tags": { "a": "b" }, "TagKeys": ["a"] });
        }
        _ => panic!("{operation} is not fuzzed"),
    };
    if let (Value::Object(input), Value::Object(more)) = (&mut input, more) {
        input.extend(more);
    }
    input
}

/// What a value is replaced by, or a field called.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2_i64..300).prop_map(Value::from),
        (-1e300_f64..1e300).prop_map(|number| json!(number)),
        "\\PC{0,40}".prop_map(Value::from),
        Just(json!("")),
        Just(json!("\u{0}")),
        Just(json!("\u{202e}é\u{1F980}")),
        Just(json!("x".repeat(5_000))),
        Just(json!("arn:aws:ecs:us-east-1:000000000000:task/")),
        Just(json!(
            "arn:aws:ecs:us-east-1:000000000000:service/default/web/x"
        )),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-zA-Z]{0,12}", inner, 0..4)
                .prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    })
}

/// How many values a document has, itself among them.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

/// Does to the value at `place`, counted depth first, what `change` does.
fn at(value: &mut Value, place: &mut usize, change: &mut impl FnMut(&mut Value)) {
    if *place == 0 {
        change(value);
        *place = usize::MAX;
        return;
    }
    *place -= 1;
    match value {
        Value::Array(items) => {
            for item in items {
                at(item, place, change);
            }
        }
        Value::Object(fields) => {
            for item in fields.values_mut() {
                at(item, place, change);
            }
        }
        _ => {}
    }
}

/// How many requests: more with `make fuzz-ecs`.
fn cases() -> u32 {
    let asked = std::env::var("NEARGATE_FUZZ_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(1_500)
}

/// A body that, one time in eight, is not the JSON that it was.
fn spoilt(mut body: Vec<u8>, place: prop::sample::Index, byte: u8, way: u8) -> Vec<u8> {
    let place = place.index(body.len());
    match way {
        0 => body[place] = byte,
        1 => body.truncate(place),
        2 => body
            .splice(place..place, b"[{".repeat(usize::from(byte)))
            .for_each(drop),
        _ => {}
    }
    body
}

#[test]
fn no_request_is_answered_with_a_failure_of_ours() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (api, task) = runtime.block_on(async {
        let api = Api::new().await;
        assert_eq!(call(&api, "RegisterTaskDefinition", &hello()).await.0, 200);
        let external = json!({
            "serviceName": "ext", "desiredCount": 2, "deploymentController": { "type": "EXTERNAL" },
        });
        assert_eq!(call(&api, "CreateService", &external).await.0, 200);
        let run = json!({ "taskDefinition": "hello" });
        let (_, ran) = call(&api, "RunTask", &run).await;
        let arn = ran["tasks"][0]["taskArn"].as_str().unwrap_or_default();
        (api, arn.rsplit('/').next().unwrap_or_default().to_owned())
    });
    let done: Vec<String> = SERVICES
        .iter()
        .flat_map(|service| {
            let done = service.operations.iter();
            let done = done.filter(|operation| matches!(operation.answer, Answer::Does(_)));
            done.map(|operation| format!("{}{}", service.target, operation.name))
        })
        .collect();
    let changes = prop::collection::vec(
        (
            any::<prop::sample::Index>(),
            anything(),
            0..3_u8,
            "\\PC{1,12}",
        ),
        0..4,
    );
    let cases_of = (prop::sample::select(done), changes);
    let config = Config {
        cases: cases(),
        failure_persistence: None,
        ..Config::default()
    };
    let runs = (
        cases_of,
        any::<prop::sample::Index>(),
        any::<u8>(),
        0..24_u8,
    );
    let outcome = TestRunner::new(config).run(&runs, |((operation, changes), place, byte, way)| {
        let mut input = valid(&operation);
        for (index, new, way, name) in changes {
            let mut place = index.index(size(&input));
            at(
                &mut input,
                &mut place,
                &mut |value| match (way, &mut *value) {
                    (0, Value::Object(fields)) => {
                        fields.insert(name.clone(), new.clone());
                    }
                    (1, Value::Object(fields)) => {
                        let first = fields.keys().next().cloned();
                        fields.remove(&first.unwrap_or_default());
                    }
                    (2, Value::Array(items)) => items.push(new.clone()),
                    _ => *value = new.clone(),
                },
            );
        }
        let text = input.to_string().replace(NO_TASK, &task);
        let body = spoilt(text.into_bytes(), place, byte, way);
        let shown = String::from_utf8_lossy(&body).into_owned();
        let answer = runtime.block_on(send(&api, &operation, body.into()));
        let (status, answer) = (answer.status.as_u16(), &answer.json());
        prop_assert!(
            status == 200 || status == 400,
            "{operation} {shown}: {status} {answer}"
        );
        let is_said = answer["__type"].is_string() && answer["message"].is_string();
        prop_assert_eq!(
            status == 400,
            is_said,
            "{} {}: {}",
            operation,
            shown,
            answer
        );
        Ok(())
    });
    outcome.unwrap();
}

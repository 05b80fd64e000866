//! Application Auto Scaling on the wire of ECS; a real service is scaled in `tests/ecs.rs`.

use serde_json::{Value, json};

use super::{done, hello, refused};
use crate::api::rest::tests::Api;

/// `input` about the service `web`.
fn of_web(mut input: Value) -> Value {
    input["ServiceNamespace"] = json!("ecs");
    input["ResourceId"] = json!("service/default/web");
    input["ScalableDimension"] = json!("ecs:service:DesiredCount");
    input
}

async fn scaling(api: &Api, operation: &str, input: Value) -> Value {
    done(api, &format!("AnyScaleFrontendService.{operation}"), input).await
}

async fn no_scaling(api: &Api, operation: &str, input: Value) -> String {
    refused(api, &format!("AnyScaleFrontendService.{operation}"), input).await
}

async fn with_service() -> Api {
    let api = Api::new().await;
    done(&api, "RegisterTaskDefinition", hello()).await;
    let service = json!({ "serviceName": "web", "taskDefinition": "hello", "desiredCount": 1 });
    done(&api, "CreateService", service).await;
    api
}

#[tokio::test]
async fn a_target_keeps_what_is_not_changed() {
    let api = with_service().await;
    let bounds = of_web(json!({ "MinCapacity": 1, "MaxCapacity": 3, "Tags": { "a": "b" } }));
    let arn = scaling(&api, "RegisterScalableTarget", bounds).await;
    let arn = &arn["ScalableTargetARN"];
    let change = of_web(
        json!({ "SuspendedState": { "DynamicScalingOutSuspended": true }, "MaxCapacity": 5 }),
    );
    let again = scaling(&api, "RegisterScalableTarget", change).await;
    assert_eq!(&again["ScalableTargetARN"], arn);
    let all = json!({ "ServiceNamespace": "ecs" });
    let mut found = scaling(&api, "DescribeScalableTargets", all).await;
    let mut target = found["ScalableTargets"][0].take();
    assert!(target["CreationTime"].as_f64().unwrap() > 1.7e9);
    target.as_object_mut().unwrap().remove("CreationTime");
    let role = "arn:aws:iam::000000000000:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/\
                AWSServiceRoleForApplicationAutoScaling_ECSService";
    assert_eq!(
        target,
        of_web(json!({
            "MinCapacity": 1, "MaxCapacity": 5, "RoleARN": role, "ScalableTargetARN": arn,
            "SuspendedState": { "DynamicScalingInSuspended": false, "DynamicScalingOutSuspended": true,
                "ScheduledScalingSuspended": false },
        }))
    );
    let tags = scaling(&api, "ListTagsForResource", json!({ "ResourceARN": arn })).await;
    assert_eq!(tags, json!({ "Tags": { "a": "b" } }));
    let none = json!({ "ServiceNamespace": "ecs", "ResourceIds": ["service/default/other"] });
    let none = scaling(&api, "DescribeScalableTargets", none).await;
    assert_eq!(none, json!({ "ScalableTargets": [] }));
    scaling(&api, "DeregisterScalableTarget", of_web(json!({}))).await;
    let said = no_scaling(&api, "DeregisterScalableTarget", of_web(json!({}))).await;
    assert!(
        said.starts_with("ObjectNotFoundException: No scalable target"),
        "{said}"
    );
}

#[tokio::test]
async fn calls_about_one_target_at_the_same_time_lose_nothing_of_each_other() {
    let api = with_service().await;
    let bounds = of_web(json!({ "MinCapacity": 0, "MaxCapacity": 1 }));
    let made = scaling(&api, "RegisterScalableTarget", bounds).await;
    let arn = &made["ScalableTargetARN"];
    let tag = async |number: u32| {
        let tags = json!({ format!("key-{number}"): "value" });
        let tags = json!({ "ResourceARN": arn, "Tags": tags });
        scaling(&api, "TagResource", tags).await;
    };
    let change = async |change: Value| {
        scaling(&api, "RegisterScalableTarget", of_web(change)).await;
    };
    tokio::join!(
        tag(1),
        change(json!({ "MaxCapacity": 7 })),
        tag(2),
        change(json!({ "SuspendedState": { "DynamicScalingInSuspended": true } })),
        tag(3),
        change(json!({ "MinCapacity": 1 })),
        tag(4),
    );
    let all = json!({ "ServiceNamespace": "ecs" });
    let found = scaling(&api, "DescribeScalableTargets", all).await;
    let found = &found["ScalableTargets"][0];
    assert_eq!(
        (&found["MinCapacity"], &found["MaxCapacity"]),
        (&json!(1), &json!(7)),
        "{found}"
    );
    assert_eq!(
        found["SuspendedState"]["DynamicScalingInSuspended"], true,
        "{found}"
    );
    let tags = scaling(&api, "ListTagsForResource", json!({ "ResourceARN": arn })).await;
    assert_eq!(tags["Tags"].as_object().unwrap().len(), 4, "{tags}");
}

#[tokio::test]
async fn a_target_has_fifty_policies_at_most() {
    let api = with_service().await;
    let bounds = of_web(json!({ "MinCapacity": 1, "MaxCapacity": 3 }));
    scaling(&api, "RegisterScalableTarget", bounds).await;
    let policy = |number: u32| {
        of_web(json!({
            "PolicyName": format!("policy-{number}"), "PolicyType": "StepScaling",
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": "ChangeInCapacity",
                "StepAdjustments": [{ "MetricIntervalLowerBound": 0, "ScalingAdjustment": 1 }],
            },
        }))
    };
    for number in 0..50 {
        scaling(&api, "PutScalingPolicy", policy(number)).await;
    }
    let said = no_scaling(&api, "PutScalingPolicy", policy(50)).await;
    assert!(
        said.starts_with("LimitExceededException: the scalable target has 50 scaling policies"),
        "{said}"
    );
    scaling(&api, "PutScalingPolicy", policy(49)).await;
}

#[tokio::test]
async fn a_policy_comes_back_as_it_was_put_and_goes_with_its_target() {
    let api = with_service().await;
    let tracking = json!({
        "TargetValue": 62.5, "DisableScaleIn": true,
        "PredefinedMetricSpecification": { "PredefinedMetricType": "ECSServiceAverageMemoryUtilization" },
    });
    let policy = of_web(json!({
        "PolicyName": "memory", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }));
    let said = no_scaling(&api, "PutScalingPolicy", policy.clone()).await;
    assert!(said.starts_with("ObjectNotFoundException: "), "{said}");
    let bounds = of_web(json!({ "MinCapacity": 1, "MaxCapacity": 3 }));
    scaling(&api, "RegisterScalableTarget", bounds).await;
    let put = scaling(&api, "PutScalingPolicy", policy.clone()).await;
    assert_eq!(
        put["Alarms"].as_array().unwrap().len(),
        1,
        "it only scales out"
    );
    assert_eq!(put, scaling(&api, "PutScalingPolicy", policy).await);
    let asked = json!({ "ServiceNamespace": "ecs", "PolicyNames": ["memory", "none"] });
    let found = scaling(&api, "DescribeScalingPolicies", asked.clone()).await;
    let found = &found["ScalingPolicies"][0];
    assert_eq!(found["TargetTrackingScalingPolicyConfiguration"], tracking);
    assert_eq!(
        (&found["PolicyARN"], &found["Alarms"]),
        (&put["PolicyARN"], &put["Alarms"])
    );
    let next = json!({ "ServiceNamespace": "ecs", "NextToken": "x" });
    let said = no_scaling(&api, "DescribeScalingPolicies", next).await;
    assert!(said.starts_with("InvalidNextTokenException: "), "{said}");
    scaling(&api, "DeregisterScalableTarget", of_web(json!({}))).await;
    let found = scaling(&api, "DescribeScalingPolicies", asked).await;
    assert_eq!(found, json!({ "ScalingPolicies": [] }));
}

#[tokio::test]
async fn what_cannot_be_scaled_is_refused_in_the_words_of_application_auto_scaling() {
    let api = with_service().await;
    let bounds = json!({ "MinCapacity": 1, "MaxCapacity": 3 });
    let bounds = of_web(bounds);
    scaling(&api, "RegisterScalableTarget", bounds.clone()).await;
    let with = |field: &str, value: Value| {
        let mut input = bounds.clone();
        input[field] = value;
        input
    };
    let tracking = |configuration: Value| {
        of_web(json!({
            "PolicyName": "p", "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": configuration,
        }))
    };
    let cpu = json!({ "PredefinedMetricType": "ECSServiceAverageCPUUtilization" });
    for (operation, input, said) in [
        (
            "RegisterScalableTarget",
            with("MinCapacity", json!(4)),
            "ValidationException: MaxCapacity: is 3",
        ),
        (
            "RegisterScalableTarget",
            with("ServiceNamespace", json!("dynamodb")),
            "ValidationException: ServiceNamespace",
        ),
        (
            "RegisterScalableTarget",
            with("ResourceId", json!("service/web")),
            "ValidationException: Unsupported",
        ),
        (
            "RegisterScalableTarget",
            with("ResourceId", json!("service/default/none")),
            "ValidationException: ECS service doesn't exist: service/default/none",
        ),
        (
            "RegisterScalableTarget",
            with("MinCapacity", json!("1")),
            "SerializationException: ",
        ),
        ("RegisterScalableTarget", json!({}), "ValidationException: "),
        (
            "PutScalingPolicy",
            tracking(json!({ "TargetValue": 0, "PredefinedMetricSpecification": cpu })),
            "ValidationException: TargetValue",
        ),
        (
            "PutScalingPolicy",
            tracking(json!({ "TargetValue": 5 })),
            "ValidationException: Exactly one",
        ),
        (
            "PutScalingPolicy",
            tracking(json!({ "TargetValue": 5, "PredefinedMetricSpecification": cpu, "X": 1 })),
            "ValidationException: Unknown parameter: \"X\"",
        ),
        (
            "PutScalingPolicy",
            tracking(json!({ "TargetValue": "5", "PredefinedMetricSpecification": cpu })),
            "ValidationException: TargetValue does not have the form",
        ),
        (
            "PutScalingPolicy",
            of_web(json!({ "PolicyName": "p" })),
            "ValidationException: A policy of type StepScaling",
        ),
        (
            "PutScalingPolicy",
            of_web(json!({ "PolicyName": "p", "PolicyType": "PredictiveScaling" })),
            "ValidationException: PolicyType",
        ),
        (
            "DeleteScalingPolicy",
            of_web(json!({ "PolicyName": "p" })),
            "ObjectNotFoundException: No scaling policy",
        ),
        (
            "DescribeScalableTargets",
            json!({ "ServiceNamespace": "ecs", "NextToken": "x" }),
            "InvalidNextTokenException: ",
        ),
        (
            "TagResource",
            json!({ "ResourceARN": "x", "Tags": { "a": "b" } }),
            "ResourceNotFoundException: ",
        ),
        (
            "PutScheduledAction",
            json!({}),
            "UnknownOperationException: ",
        ),
    ] {
        let found = no_scaling(&api, operation, input.clone()).await;
        assert!(found.starts_with(said), "{operation} {input}: {found}");
    }
}

#[tokio::test]
async fn a_service_that_is_deleted_cannot_be_scaled_any_more() {
    let api = with_service().await;
    let bounds = of_web(json!({ "MinCapacity": 1, "MaxCapacity": 3 }));
    scaling(&api, "RegisterScalableTarget", bounds.clone()).await;
    let force = json!({ "service": "web", "force": true });
    done(&api, "DeleteService", force).await;
    let said = no_scaling(&api, "RegisterScalableTarget", bounds).await;
    assert_eq!(
        said,
        "ValidationException: ECS service doesn't exist: service/default/web"
    );
}

#[tokio::test]
async fn a_service_is_shown_with_what_it_is_scaled_by() {
    let api = with_service().await;
    let plain = api.get("/v1/services/web").await.json();
    assert_eq!(plain["scaling"], Value::Null);
    let bounds = of_web(json!({
        "MinCapacity": 1, "MaxCapacity": 3, "SuspendedState": { "DynamicScalingInSuspended": true },
    }));
    scaling(&api, "RegisterScalableTarget", bounds).await;
    let cpu = json!({ "PredefinedMetricType": "ECSServiceAverageCPUUtilization" });
    let policy = of_web(json!({
        "PolicyName": "cpu", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": { "TargetValue": 62.5, "PredefinedMetricSpecification": cpu },
    }));
    scaling(&api, "PutScalingPolicy", policy).await;
    let shown = api.get("/v1/services/web").await.json();
    assert_eq!(
        shown["scaling"],
        json!({
            "minCapacity": 1, "maxCapacity": 3, "suspended": ["dynamicScalingIn"], "activities": [],
            "policies": [{
                "policyName": "cpu", "policyType": "TargetTrackingScaling",
                "metric": "ECSServiceAverageCPUUtilization", "targetValue": 62.5,
            }],
        })
    );
}

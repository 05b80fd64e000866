//! Task sets; that they keep their share of a service's tasks, `plan/service/external` has, and `tests/ecs.rs`.

use serde_json::{Value, json};

use super::{done, hello, refused};
use crate::api::rest::tests::Api;

const ARN: &str = "arn:aws:ecs:us-east-1:000000000000";

async fn with_external() -> Api {
    let api = Api::new().await;
    done(&api, "RegisterTaskDefinition", hello()).await;
    let service = json!({
        "serviceName": "web", "desiredCount": 3, "deploymentController": { "type": "EXTERNAL" },
        "tags": [{ "key": "team", "value": "shop" }],
    });
    let made = done(&api, "CreateService", service).await["service"].take();
    assert_eq!(made["deploymentController"], json!({ "type": "EXTERNAL" }));
    assert_eq!(
        (
            &made["deployments"],
            &made["taskSets"],
            &made["taskDefinition"]
        ),
        (&json!([]), &json!([]), &Value::Null)
    );
    api
}

/// `input` about the service `web`.
fn of_web(mut input: Value) -> Value {
    input["cluster"] = json!("default");
    input["service"] = json!("web");
    input
}

async fn make(api: &Api, input: Value) -> Value {
    let mut input = of_web(input);
    input["taskDefinition"] = json!("hello");
    done(api, "CreateTaskSet", input).await["taskSet"].take()
}

async fn web(api: &Api) -> Value {
    let found = done(api, "DescribeServices", json!({ "services": ["web"] })).await;
    found["services"][0].clone()
}

#[tokio::test]
async fn a_task_set_is_made_described_scaled_and_deleted() {
    let api = with_external().await;
    let set = make(
        &api,
        json!({
            "externalId": "blue", "launchType": "EC2", "scale": { "value": 50, "unit": "PERCENT" },
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-1"] } },
            "tags": [{ "key": "a", "value": "b" }],
        }),
    )
    .await;
    let id = set["id"].as_str().unwrap();
    assert_eq!(
        set["taskSetArn"],
        format!("{ARN}:task-set/default/web/{id}")
    );
    assert_eq!(set["serviceArn"], format!("{ARN}:service/default/web"));
    assert_eq!(
        (&set["status"], &set["externalId"]),
        (&json!("ACTIVE"), &json!("blue"))
    );
    assert_eq!(set["scale"], json!({ "value": 50.0, "unit": "PERCENT" }));
    assert_eq!(
        (&set["computedDesiredCount"], &set["launchType"]),
        (&json!(2), &json!("EC2"))
    );
    assert_eq!(set["stabilityStatus"], "STABILIZING");
    assert_eq!(set["tags"], json!([{ "key": "a", "value": "b" }]));
    assert_eq!(
        set["taskDefinition"],
        format!("{ARN}:task-definition/hello:1")
    );
    let subnets = &set["networkConfiguration"]["awsvpcConfiguration"]["subnets"];
    assert_eq!(subnets, &json!(["subnet-1"]));

    let missing = format!("ecs-svc/{}", "7".repeat(19));
    for name in [id, set["taskSetArn"].as_str().unwrap()] {
        let asked = of_web(json!({ "taskSets": [name, missing], "include": ["TAGS"] }));
        let found = done(&api, "DescribeTaskSets", asked).await;
        assert_eq!(found["taskSets"], json!([set]));
        let arn = format!("{ARN}:task-set/default/web/{missing}");
        assert_eq!(
            found["failures"],
            json!([{ "arn": arn, "reason": "MISSING" }])
        );
    }
    let all = done(&api, "DescribeTaskSets", of_web(json!({}))).await;
    assert_eq!(all["taskSets"][0]["tags"], json!([]));
    assert_eq!(web(&api).await["taskSets"][0]["id"], id);

    let scale = json!({ "value": 33.4, "unit": "PERCENT" });
    let scaled = of_web(json!({ "taskSet": id, "scale": scale }));
    let scaled = done(&api, "UpdateTaskSet", scaled).await["taskSet"].take();
    assert_eq!(
        (&scaled["scale"], &scaled["computedDesiredCount"]),
        (&scale, &json!(2))
    );
    let arn = set["taskSetArn"].clone();
    let tags = json!([{ "key": "c", "value": "d" }]);
    done(
        &api,
        "TagResource",
        json!({ "resourceArn": arn, "tags": tags }),
    )
    .await;
    done(
        &api,
        "UntagResource",
        json!({ "resourceArn": arn, "tagKeys": ["a"] }),
    )
    .await;
    let listed = done(&api, "ListTagsForResource", json!({ "resourceArn": arn })).await;
    assert_eq!(listed["tags"], tags);

    let delete = of_web(json!({ "taskSet": id }));
    let said = refused(&api, "DeleteTaskSet", delete.clone()).await;
    assert!(said.starts_with("InvalidParameterException: "), "{said}");
    let none = of_web(json!({ "taskSet": id, "scale": { "value": 0, "unit": "PERCENT" } }));
    done(&api, "UpdateTaskSet", none).await;
    let gone = done(&api, "DeleteTaskSet", delete).await["taskSet"].take();
    assert_eq!(
        (&gone["status"], &gone["computedDesiredCount"]),
        (&json!("DRAINING"), &json!(0))
    );
    let said = refused(
        &api,
        "UpdateServicePrimaryTaskSet",
        of_web(json!({ "primaryTaskSet": id })),
    )
    .await;
    assert!(said.starts_with("TaskSetNotFoundException: "), "{said}");
}

#[tokio::test]
async fn the_primary_task_set_says_what_the_service_runs() {
    let api = with_external().await;
    let blue = make(&api, json!({ "launchType": "EC2" })).await;
    assert_eq!(blue["scale"], json!({ "value": 0.0, "unit": "PERCENT" }));
    let green = make(&api, json!({})).await;
    for (set, launch_type) in [(&blue, "EC2"), (&green, "FARGATE")] {
        let serve = of_web(json!({ "primaryTaskSet": set["taskSetArn"] }));
        let made = done(&api, "UpdateServicePrimaryTaskSet", serve).await["taskSet"].take();
        assert_eq!(
            (&made["status"], &made["id"]),
            (&json!("PRIMARY"), &set["id"])
        );
        let service = web(&api).await;
        assert_eq!(
            service["taskDefinition"],
            format!("{ARN}:task-definition/hello:1")
        );
        assert_eq!(service["launchType"], launch_type);
        let statuses = service["taskSets"].as_array().unwrap().iter();
        let statuses: Vec<&Value> = statuses.map(|one| &one["status"]).collect();
        assert_eq!(statuses, ["PRIMARY", "ACTIVE"]);
        assert_eq!(service["taskSets"][0]["id"], set["id"]);
    }
    // It is deleted by force only.
    let delete = json!({ "taskSet": green["id"] });
    let said = refused(&api, "DeleteTaskSet", of_web(delete.clone())).await;
    assert!(said.contains("PRIMARY"), "{said}");
    let mut delete = of_web(delete);
    delete["force"] = json!(true);
    done(&api, "DeleteTaskSet", delete).await;
}

#[tokio::test]
async fn a_token_makes_one_task_set_of_two_calls() {
    let api = with_external().await;
    let order = json!({ "clientToken": "once", "scale": { "value": 100, "unit": "PERCENT" } });
    let first = make(&api, order.clone()).await;
    let again = make(&api, order.clone()).await;
    assert_eq!(first["id"], again["id"]);
    assert_eq!(web(&api).await["taskSets"].as_array().unwrap().len(), 1);
    let mut other = of_web(order);
    other["taskDefinition"] = json!("hello");
    other["scale"] = json!({ "value": 50 });
    let said = refused(&api, "CreateTaskSet", other).await;
    assert_eq!(
        said,
        "InvalidParameterException: Creation of task set was not idempotent."
    );
    // Without one, each call makes another, up to the most.
    for _ in 1..5 {
        make(&api, json!({})).await;
    }
    let more = of_web(json!({ "taskDefinition": "hello" }));
    let said = refused(&api, "CreateTaskSet", more).await;
    assert_eq!(
        said,
        "InvalidParameterException: 5 deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit."
    );
}

#[tokio::test]
async fn what_cannot_be_a_task_set_is_refused() {
    let api = with_external().await;
    let rolling = json!({ "serviceName": "rolling", "taskDefinition": "hello", "desiredCount": 1 });
    done(&api, "CreateService", rolling).await;
    let create = |more: Value| {
        let mut input = of_web(json!({ "taskDefinition": "hello" }));
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        ("CreateTaskSet", input)
    };
    for ((operation, input), said) in [
        (
            create(json!({ "service": "none" })),
            "ServiceNotFoundException: ",
        ),
        (
            create(json!({ "cluster": "none" })),
            "ClusterNotFoundException: ",
        ),
        (
            create(json!({ "service": "rolling" })),
            "InvalidParameterException: service: ",
        ),
        (
            create(json!({ "taskDefinition": "none" })),
            "ClientException: TaskDefinition not found.",
        ),
        (
            create(json!({ "loadBalancers": [{ "containerName": "a" }] })),
            "UnsupportedFeatureException: loadBalancers",
        ),
        (
            create(json!({ "scale": { "value": 101 } })),
            "InvalidParameterException: Scale",
        ),
        (
            create(json!({ "scale": { "value": 1, "unit": "TASKS" } })),
            "InvalidParameterException: Scale",
        ),
        (
            create(json!({ "scale": { "value": "1" } })),
            "InvalidParameterException: Scale",
        ),
        (
            create(
                json!({ "launchType": "EC2", "capacityProviderStrategy": [{ "capacityProvider": "FARGATE" }] }),
            ),
            "InvalidParameterException: Specifying both",
        ),
        (
            ("DeleteTaskSet", of_web(json!({ "taskSet": "x" }))),
            "InvalidParameterException: Invalid identifier",
        ),
        (
            (
                "DeleteTaskSet",
                of_web(json!({ "taskSet": "7".repeat(19) })),
            ),
            "TaskSetNotFoundException: ",
        ),
    ] {
        let found = refused(&api, operation, input.clone()).await;
        assert!(found.starts_with(said), "{operation} {input}: {found}");
    }
}

#[tokio::test]
async fn what_task_sets_say_cannot_be_said_of_the_service() {
    let api = with_external().await;
    let set = make(&api, json!({})).await;
    for ((operation, input), said) in [
        (
            (
                "UpdateService",
                json!({ "service": "web", "taskDefinition": "hello", "cluster": "default" }),
            ),
            "InvalidParameterException: taskDefinition: ",
        ),
        (
            (
                "UpdateService",
                json!({ "service": "web", "forceNewDeployment": true }),
            ),
            "InvalidParameterException: taskDefinition: ",
        ),
        (
            (
                "UpdateService",
                json!({ "service": "web", "deploymentController": { "type": "ECS" } }),
            ),
            "InvalidParameterException: deploymentController.type: ",
        ),
        (
            (
                "CreateService",
                json!({
                    "serviceName": "x", "taskDefinition": "hello", "desiredCount": 1,
                    "deploymentController": { "type": "EXTERNAL" },
                }),
            ),
            "InvalidParameterException: taskDefinition: ",
        ),
        (
            (
                "CreateService",
                json!({
                    "serviceName": "x", "schedulingStrategy": "DAEMON",
                    "deploymentController": { "type": "EXTERNAL" },
                }),
            ),
            "InvalidParameterException: schedulingStrategy: ",
        ),
        (
            (
                "CreateService",
                json!({
                    "serviceName": "x", "taskDefinition": "hello", "desiredCount": 1,
                    "deploymentController": { "type": "CODE_DEPLOY" },
                }),
            ),
            "InvalidParameterException: deploymentController.type: ",
        ),
    ] {
        let found = refused(&api, operation, input.clone()).await;
        assert!(found.starts_with(said), "{operation} {input}: {found}");
    }
    // What is not a deployment of it can still be changed.
    let more = json!({ "service": "web", "desiredCount": 4, "healthCheckGracePeriodSeconds": 5 });
    done(&api, "UpdateService", more).await;
    let set = of_web(json!({ "taskSets": [set["id"]] }));
    let found = done(&api, "DescribeTaskSets", set).await;
    assert_eq!(found["taskSets"][0]["computedDesiredCount"], 0);
    let rolled = api
        .post("/v1/services/web/rollback", "application/json", "")
        .await;
    assert_eq!(rolled.status, 409, "{rolled:?}");
}

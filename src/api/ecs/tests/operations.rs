//! Deployments of services, tags, capacity providers, the container instance and account settings.

use axum::body::Body;
use serde_json::{Value, json};

use super::{done, hello, refused};
use crate::api::rest::tests::{Api, request};

const ARN: &str = "arn:aws:ecs:us-east-1:000000000000";

async fn api() -> Api {
    let api = Api::new().await;
    done(&api, "RegisterTaskDefinition", hello()).await;
    api
}

async fn tags_of(api: &Api, arn: &Value) -> Value {
    done(api, "ListTagsForResource", json!({ "resourceArn": arn })).await["tags"].take()
}

#[tokio::test]
async fn a_service_keeps_what_has_no_effect_gives_it_back_and_says_so() {
    let api = api().await;
    let spread = json!([{ "type": "spread", "field": "host" }]);
    let connect =
        json!({ "enabled": true, "namespace": "x", "services": [{ "portName": "http" }] });
    let order = json!({
        "serviceName": "web", "taskDefinition": "hello", "desiredCount": 1, "placementStrategy": spread,
        "serviceConnectConfiguration": connect, "availabilityZoneRebalancing": "ENABLED", "platformVersion": "LATEST",
        "enableECSManagedTags": true, "propagateTags": "TASK_DEFINITION",
    });
    let made = done(&api, "CreateService", order).await["service"].take();
    assert_eq!(made["placementStrategy"], spread);
    assert_eq!(made["availabilityZoneRebalancing"], "ENABLED");
    assert_eq!(made["platformVersion"], "LATEST");
    assert_eq!(made["enableECSManagedTags"], true);
    assert_eq!(made["propagateTags"], "TASK_DEFINITION");
    assert_eq!(
        made["deployments"][0]["serviceConnectConfiguration"],
        connect
    );
    let named = json!({ "namespace": "x" });
    let named = done(&api, "ListServicesByNamespace", named).await;
    assert_eq!(named["serviceArns"], json!([made["serviceArn"]]));
    let named = json!({ "namespace": "y" });
    let named = done(&api, "ListServicesByNamespace", named).await;
    assert_eq!(named["serviceArns"], json!([]));
    let events = made["events"].to_string();
    for said in ["placementStrategy: ", "serviceConnectConfiguration: "] {
        assert!(events.contains(said), "{said}: {events}");
    }
    let garbage = json!({ "service": "web", "placementStrategy": [{ "type": 5 }] });
    let said = refused(&api, "UpdateService", garbage).await;
    assert!(said.contains("placementStrategy[0].type"), "{said}");
    // As ECS does: these do not begin a deployment, and those do.
    let one = done(
        &api,
        "UpdateService",
        json!({ "service": "web", "placementStrategy": [], "enableExecuteCommand": true, "propagateTags": "NONE" }),
    )
    .await["service"]
        .take();
    assert_eq!(one["deployments"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&one["placementStrategy"], &one["propagateTags"]),
        (&json!([]), &json!("NONE"))
    );
    let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-2"] } });
    let two = json!({ "service": "web", "networkConfiguration": network });
    let two = done(&api, "UpdateService", two).await["service"].take();
    assert_eq!(two["deployments"].as_array().unwrap().len(), 2);
    let subnets = |of: &Value| of["networkConfiguration"]["awsvpcConfiguration"]["subnets"].clone();
    assert_eq!(subnets(&two["deployments"][0]), json!(["subnet-2"]));
    assert_eq!(
        subnets(&two["deployments"][1]),
        Value::Null,
        "what is recorded stays"
    );
}

#[tokio::test]
async fn deployments_of_a_service_are_listed_described_and_stopped() {
    let api = api().await;
    let order = json!({ "serviceName": "web", "taskDefinition": "hello", "desiredCount": 1 });
    let made = done(&api, "CreateService", order).await["service"].take();
    let first = made["currentServiceDeployment"].clone();
    let again = json!({ "service": "web", "forceNewDeployment": true });
    let now = done(&api, "UpdateService", again).await["service"].take();
    let second = now["currentServiceDeployment"].clone();
    let listed = done(&api, "ListServiceDeployments", json!({ "service": "web" })).await;
    let listed = listed["serviceDeployments"].as_array().unwrap().clone();
    let of = |name: &str| {
        listed
            .iter()
            .map(|one| one[name].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("serviceDeploymentArn"), [second.clone(), first.clone()]);
    assert_eq!(of("status"), ["IN_PROGRESS", "STOPPED"]);
    let under_way = json!({ "service": "web", "status": ["IN_PROGRESS"], "maxResults": 1 });
    let page = done(&api, "ListServiceDeployments", under_way).await;
    assert_eq!(page["serviceDeployments"].as_array().unwrap().len(), 1);
    let none = json!({ "service": "web", "createdAt": { "before": 1 } });
    let page = done(&api, "ListServiceDeployments", none).await;
    assert_eq!(page, json!({ "serviceDeployments": [] }));
    for (input, said) in [
        (json!({ "service": "none" }), "ServiceNotFoundException"),
        (
            json!({ "service": "web", "status": ["X"] }),
            "status is \"X\"",
        ),
        (
            json!({ "service": "web", "createdAt": { "before": "x" } }),
            "createdAt.before",
        ),
    ] {
        let refusal = refused(&api, "ListServiceDeployments", input).await;
        assert!(refusal.contains(said), "{refusal}");
    }

    let described = json!({ "serviceDeploymentArns": [second, format!("{ARN}:service-deployment/default/web/{}", "7".repeat(19))] });
    let described = done(&api, "DescribeServiceDeployments", described).await;
    assert_eq!(described["failures"][0]["reason"], "MISSING");
    let shown = &described["serviceDeployments"][0];
    assert_eq!(shown["deploymentCircuitBreaker"]["status"], "DISABLED");
    assert_eq!(shown["targetServiceRevision"]["requestedTaskCount"], 1);
    let revision = shown["targetServiceRevision"]["arn"].clone();
    let revisions = json!({ "serviceRevisionArns": [revision] });
    let revisions = done(&api, "DescribeServiceRevisions", revisions).await;
    let revision = &revisions["serviceRevisions"][0];
    assert_eq!(
        revision["taskDefinition"],
        format!("{ARN}:task-definition/hello:1")
    );
    assert_eq!(
        revision["containerImages"],
        json!([{ "containerName": "hello", "image": "busybox" }])
    );
    for wrong in [
        "web",
        "arn:aws:ecs:us-east-1:000000000000:service-revision/web/1",
    ] {
        let said = refused(
            &api,
            "DescribeServiceRevisions",
            json!({ "serviceRevisionArns": [wrong] }),
        )
        .await;
        assert!(said.starts_with("InvalidParameterException: "), "{said}");
    }

    // There is nothing to go back to yet, but it can be given up.
    let stop = |arn: &Value, how: &str| json!({ "serviceDeploymentArn": arn, "stopType": how });
    let said = refused(&api, "StopServiceDeployment", stop(&second, "ROLLBACK")).await;
    assert!(said.starts_with("ConflictException: "), "{said}");
    let said = refused(&api, "StopServiceDeployment", stop(&first, "ABORT")).await;
    assert!(said.contains("it was STOPPED"), "{said}");
    let stopped = done(&api, "StopServiceDeployment", stop(&second, "ABORT")).await;
    assert_eq!(stopped["serviceDeploymentArn"], second);
    let found = done(&api, "DescribeServices", json!({ "services": ["web"] })).await;
    let service = &found["services"][0];
    assert_eq!(service["deployments"][0]["rolloutState"], "FAILED");
    assert_eq!(service["currentServiceDeployment"], Value::Null);
    assert!(
        service["events"][0]["message"]
            .as_str()
            .unwrap()
            .contains("was stopped by a user")
    );
    let said = refused(&api, "StopServiceDeployment", stop(&second, "PAUSE")).await;
    assert!(said.contains("stopType"), "{said}");
}

#[tokio::test]
async fn tags_can_be_changed_on_everything_and_bills_keep_those_of_the_run() {
    let api = api().await;
    let order = json!({ "serviceName": "web", "taskDefinition": "hello", "desiredCount": 1 });
    done(&api, "CreateService", order).await;
    let run = json!({
        "taskDefinition": "hello", "tags": [{ "key": "own", "value": "1" }], "enableECSManagedTags": true,
        "propagateTags": "TASK_DEFINITION",
    });
    let task = done(&api, "RunTask", run.clone()).await["tasks"][0].take();
    let first = json!([
        { "key": "aws:ecs:clusterName", "value": "default" }, { "key": "own", "value": "1" }, { "key": "team", "value": "shop" },
    ]);
    assert_eq!(task["tags"], first);
    let instances = done(&api, "ListContainerInstances", json!({})).await;
    let group =
        json!({ "name": "own", "autoScalingGroupProvider": { "autoScalingGroupArn": "x" } });
    let provider = done(&api, "CreateCapacityProvider", group).await;
    for arn in [
        json!(format!("{ARN}:cluster/default")),
        json!(format!("{ARN}:service/default/web")),
        json!(format!("{ARN}:task-definition/hello:1")),
        task["taskArn"].clone(),
        instances["containerInstanceArns"][0].clone(),
        provider["capacityProvider"]["capacityProviderArn"].clone(),
    ] {
        let before = tags_of(&api, &arn).await;
        let added = json!([{ "key": "later", "value": "x" }]);
        done(
            &api,
            "TagResource",
            json!({ "resourceArn": arn, "tags": added }),
        )
        .await;
        let tags = tags_of(&api, &arn).await;
        assert!(
            tags.as_array().unwrap().contains(&added[0]),
            "{arn}: {tags}"
        );
        assert_eq!(
            tags.as_array().unwrap().len(),
            before.as_array().unwrap().len() + 1
        );
        let many: Vec<Value> = (0..50).map(|n| json!({ "key": n.to_string() })).collect();
        let said = refused(
            &api,
            "TagResource",
            json!({ "resourceArn": arn, "tags": many }),
        )
        .await;
        assert_eq!(
            said, "InvalidParameterException: Tags can have at most 50 items.",
            "{arn}"
        );
        let said = refused(
            &api,
            "UntagResource",
            json!({ "resourceArn": arn, "tagKeys": ["aws:ecs:clusterName"] }),
        )
        .await;
        assert!(said.contains("reserved"), "{arn}: {said}");
        if !arn.as_str().unwrap().contains("task-definition") {
            done(
                &api,
                "UntagResource",
                json!({ "resourceArn": arn, "tagKeys": ["later"] }),
            )
            .await;
            assert_eq!(tags_of(&api, &arn).await, before, "{arn}");
        }
    }
    // What runs from then on gets the newer tags; what ran keeps its own where bills are made.
    let next = done(&api, "RunTask", run).await["tasks"][0].take();
    assert!(next["tags"].to_string().contains("later"), "{next}");
    let path = format!("/v1/tasks/{}", id(&task["taskArn"]));
    let rest = api
        .call(request("GET", &path).body(Body::empty()).unwrap())
        .await
        .json();
    assert_eq!(rest["tags"], first);
    let added = json!([{ "key": "own", "value": "2" }]);
    let changed = json!({ "resourceArn": task["taskArn"], "tags": added });
    done(&api, "TagResource", changed).await;
    for path in [path.as_str(), "/v1/tasks?limit=1000"] {
        let rest = api.get(path).await.json();
        let tasks = match rest["items"].as_array() {
            Some(tasks) => tasks.clone(),
            None => vec![rest],
        };
        let found = tasks
            .iter()
            .find(|one| one["taskId"] == id(&task["taskArn"]));
        let tags = &found.unwrap()["tags"];
        assert!(tags.as_array().unwrap().contains(&added[0]), "{tags}");
    }
    // Bills read the record, which has those of the run.
    let recorded = id(&task["taskArn"]).parse().unwrap();
    let recorded = api.store.task(&recorded).await.unwrap().unwrap();
    assert_eq!(recorded.tags["own"], "1");
    let gone = json!({ "resourceArn": format!("{ARN}:capacity-provider/none") });
    let said = refused(&api, "ListTagsForResource", gone).await;
    assert!(said.contains("was not found"), "{said}");
}

#[tokio::test]
async fn tags_that_nobody_may_give_are_refused_wherever_they_are_given() {
    let api = api().await;
    for (key, said) in [
        ("aws:x", "reserved"),
        ("", "1 to 128"),
        (&"x".repeat(129), "1 to 128"),
    ] {
        for (operation, input) in [
            (
                "TagResource",
                json!({ "resourceArn": format!("{ARN}:cluster/default") }),
            ),
            ("RunTask", json!({ "taskDefinition": "hello" })),
            (
                "CreateService",
                json!({ "serviceName": "x", "taskDefinition": "hello", "desiredCount": 1 }),
            ),
            ("RegisterTaskDefinition", hello()),
        ] {
            let mut input = input;
            input["tags"] = json!([{ "key": key, "value": "" }]);
            let refusal = refused(&api, operation, input).await;
            assert!(refusal.contains(said), "{operation} {key}: {refusal}");
        }
    }
}

fn id(arn: &Value) -> &str {
    arn.as_str().unwrap().rsplit('/').next().unwrap()
}

#[tokio::test]
async fn tasks_name_the_capacity_provider_that_their_strategy_spreads_them_to() {
    let api = api().await;
    let strategy = json!([
        { "capacityProvider": "FARGATE", "base": 1, "weight": 1 }, { "capacityProvider": "FARGATE_SPOT", "weight": 3 },
    ]);
    let run =
        json!({ "taskDefinition": "hello", "count": 5, "capacityProviderStrategy": strategy });
    let ran = done(&api, "RunTask", run).await;
    let names: Vec<&str> = ran["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["capacityProviderName"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "FARGATE",
            "FARGATE_SPOT",
            "FARGATE_SPOT",
            "FARGATE",
            "FARGATE_SPOT"
        ]
    );
    for (input, said) in [
        (
            json!({ "launchType": "EC2", "capacityProviderStrategy": strategy }),
            "both a launch type",
        ),
        (
            json!({ "capacityProviderStrategy": [{ "capacityProvider": "none" }] }),
            "was not found",
        ),
        (
            json!({ "capacityProviderStrategy": [{ "capacityProvider": "FARGATE", "weight": 1_001 }] }),
            "1000",
        ),
        (
            json!({ "capacityProviderStrategy": [{ "provider": "FARGATE" }] }),
            "capacityProviderStrategy[0].capacityProvider can not be blank.",
        ),
        (
            json!({ "capacityProviderStrategy": [{ "capacityProvider": 1 }] }),
            "does not have the form",
        ),
    ] {
        let mut run = json!({ "taskDefinition": "hello" });
        run.as_object_mut()
            .unwrap()
            .extend(input.as_object().unwrap().clone());
        let refusal = refused(&api, "RunTask", run).await;
        assert!(refusal.contains(said), "{refusal}");
    }
    let put = json!({
        "cluster": "default", "capacityProviders": ["FARGATE_SPOT"],
        "defaultCapacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }],
    });
    done(&api, "PutClusterCapacityProviders", put).await;
    let ran = done(&api, "RunTask", json!({ "taskDefinition": "hello" })).await;
    assert_eq!(
        ran["tasks"][0]["capacityProviderName"], "FARGATE_SPOT",
        "the cluster's own"
    );
    let ran = done(
        &api,
        "RunTask",
        json!({ "taskDefinition": "hello", "launchType": "EC2" }),
    )
    .await;
    assert_eq!(ran["tasks"][0]["capacityProviderName"], Value::Null);
    assert_eq!(ran["tasks"][0]["launchType"], "EC2");
    assert!(ran["tasks"][0]["containerInstanceArn"].is_string());
    let listed = done(&api, "ListTasks", json!({ "launchType": "EC2" })).await;
    assert_eq!(listed["taskArns"], json!([ran["tasks"][0]["taskArn"]]));
    let order = json!({ "serviceName": "web", "taskDefinition": "hello", "desiredCount": 1 });
    let made = done(&api, "CreateService", order).await["service"].take();
    assert_eq!(
        made["capacityProviderStrategy"][0]["capacityProvider"],
        "FARGATE_SPOT"
    );
    assert_eq!(made["launchType"], Value::Null);
    let empty = json!({ "cluster": "default", "capacityProviders": [], "defaultCapacityProviderStrategy": [] });
    let said = refused(&api, "PutClusterCapacityProviders", empty).await;
    assert!(said.starts_with("ResourceInUseException: "), "{said}");
    let other = json!({
        "cluster": "default", "capacityProviders": ["FARGATE_SPOT"],
        "defaultCapacityProviderStrategy": [{ "capacityProvider": "FARGATE" }],
    });
    let said = refused(&api, "PutClusterCapacityProviders", other).await;
    assert!(said.contains("not associated with the cluster"), "{said}");
}

#[tokio::test]
async fn capacity_providers_are_made_changed_listed_and_deleted() {
    let api = Api::new().await;
    let group = json!({ "autoScalingGroupArn": "x", "managedScaling": { "targetCapacity": 80 } });
    for name in ["b", "a"] {
        let made = json!({ "name": name, "autoScalingGroupProvider": group });
        let made = done(&api, "CreateCapacityProvider", made).await;
        let scaling = &made["capacityProvider"]["autoScalingGroupProvider"]["managedScaling"];
        assert_eq!(
            (&scaling["targetCapacity"], &scaling["status"]),
            (&json!(80), &json!("DISABLED"))
        );
    }
    for (input, said) in [
        (
            json!({ "name": "a", "autoScalingGroupProvider": group }),
            "already exists",
        ),
        (
            json!({ "name": "AWSx", "autoScalingGroupProvider": group }),
            "cannot begin",
        ),
        (
            json!({ "name": "a b", "autoScalingGroupProvider": group }),
            "letters",
        ),
        (
            json!({ "name": "c" }),
            "autoScalingGroupProvider can not be blank",
        ),
        (
            json!({ "name": "c", "autoScalingGroupProvider": {} }),
            "autoScalingGroupArn can not be blank",
        ),
        (
            json!({ "name": "c", "managedInstancesProvider": {
                "infrastructureRoleArn": "x", "instanceLaunchTemplate": {
                    "ec2InstanceProfileArn": "x", "networkConfiguration": {},
                },
            } }),
            "UnsupportedFeatureException",
        ),
    ] {
        let refusal = refused(&api, "CreateCapacityProvider", input).await;
        assert!(refusal.contains(said), "{refusal}");
    }
    let page = done(
        &api,
        "DescribeCapacityProviders",
        json!({ "maxResults": 3 }),
    )
    .await;
    let names = |page: &Value| {
        let all = page["capacityProviders"].as_array().unwrap().iter();
        all.map(|one| one["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&page), ["FARGATE", "FARGATE_SPOT", "a"]);
    let page = json!({ "maxResults": 3, "nextToken": page["nextToken"] });
    assert_eq!(
        names(&done(&api, "DescribeCapacityProviders", page).await),
        ["b"]
    );
    let change = json!({ "name": "a", "autoScalingGroupProvider": { "managedScaling": { "status": "ENABLED" } } });
    let changed = done(&api, "UpdateCapacityProvider", change).await;
    let scaling = &changed["capacityProvider"]["autoScalingGroupProvider"]["managedScaling"];
    assert_eq!(
        (&scaling["targetCapacity"], &scaling["status"]),
        (&json!(80), &json!("ENABLED"))
    );
    for name in ["FARGATE", "none"] {
        refused(
            &api,
            "DeleteCapacityProvider",
            json!({ "capacityProvider": name }),
        )
        .await;
    }
    let gone = done(
        &api,
        "DeleteCapacityProvider",
        json!({ "capacityProvider": "a" }),
    )
    .await;
    assert_eq!(gone["capacityProvider"]["status"], "INACTIVE");
    let found = done(
        &api,
        "DescribeCapacityProviders",
        json!({ "capacityProviders": ["a"] }),
    )
    .await;
    assert_eq!(found["failures"][0]["reason"], "MISSING");
}

#[tokio::test]
async fn the_host_is_the_one_container_instance_of_each_cluster() {
    let api = api().await;
    let listed = done(&api, "ListContainerInstances", json!({})).await;
    let arn = listed["containerInstanceArns"][0].clone();
    assert_eq!(listed["containerInstanceArns"].as_array().unwrap().len(), 1);
    let of = json!({ "containerInstances": [arn, "0".repeat(31)] });
    let found = done(&api, "DescribeContainerInstances", of).await;
    assert_eq!(found["failures"][0]["reason"], "MISSING");
    let shown = &found["containerInstances"][0];
    assert_eq!(shown["agentConnected"], false, "the engine is away");
    assert_eq!(shown["registeredResources"][0]["name"], "CPU");

    let start =
        json!({ "containerInstances": [id(&arn)], "taskDefinition": "hello", "startedBy": "me" });
    let started = done(&api, "StartTask", start.clone()).await;
    assert_eq!(started["tasks"][0]["containerInstanceArn"], arn);
    assert_eq!(started["tasks"][0]["launchType"], "EC2");
    let nobody = json!({ "containerInstances": ["f".repeat(32)], "taskDefinition": "hello" });
    let failed = done(&api, "StartTask", nobody).await;
    assert_eq!(
        (&failed["tasks"], &failed["failures"][0]["reason"]),
        (&json!([]), &json!("MISSING"))
    );
    let tasks = done(&api, "ListTasks", json!({ "containerInstance": arn })).await;
    assert_eq!(tasks["taskArns"], json!([started["tasks"][0]["taskArn"]]));

    let drain = |status: &str| json!({ "containerInstances": [arn], "status": status });
    let drained = done(&api, "UpdateContainerInstancesState", drain("DRAINING")).await;
    assert_eq!(drained["containerInstances"][0]["status"], "DRAINING");
    let failed = done(&api, "StartTask", start.clone()).await;
    assert_eq!(failed["failures"][0]["reason"], "INACTIVE");
    let said = refused(&api, "RunTask", json!({ "taskDefinition": "hello" })).await;
    assert!(
        said.contains("No Container Instances were found in your cluster"),
        "{said}"
    );
    let none = done(
        &api,
        "ListContainerInstances",
        json!({ "status": "ACTIVE" }),
    )
    .await;
    assert_eq!(none["containerInstanceArns"], json!([]));
    done(&api, "CreateCluster", json!({ "clusterName": "blue" })).await;
    done(
        &api,
        "RunTask",
        json!({ "cluster": "blue", "taskDefinition": "hello" }),
    )
    .await;
    done(&api, "UpdateContainerInstancesState", drain("ACTIVE")).await;
    done(&api, "StartTask", start).await;
    let said = refused(&api, "UpdateContainerInstancesState", drain("REGISTERING")).await;
    assert!(said.contains("status"), "{said}");
    for operation in [
        "RegisterContainerInstance",
        "SubmitTaskStateChange",
        "DiscoverPollEndpoint",
    ] {
        let said = refused(&api, operation, json!({})).await;
        assert!(said.starts_with("UnsupportedFeatureException: "), "{said}");
    }
}

#[tokio::test]
async fn attributes_of_the_container_instance_are_put_listed_and_deleted() {
    let api = Api::new().await;
    let listed = done(&api, "ListContainerInstances", json!({})).await;
    let arn = listed["containerInstanceArns"][0].clone();
    let one = |name: &str| json!({ "name": name, "value": "x", "targetId": arn });
    done(
        &api,
        "PutAttributes",
        json!({ "attributes": [one("b"), one("a")] }),
    )
    .await;
    let list = json!({ "targetType": "container-instance", "maxResults": 2 });
    let page = done(&api, "ListAttributes", list).await;
    assert_eq!(page["attributes"], json!([one("a"), one("b")]));
    let own =
        json!({ "targetType": "container-instance", "attributeName": "a", "attributeValue": "y" });
    assert_eq!(
        done(&api, "ListAttributes", own).await["attributes"],
        json!([])
    );
    let nine: Vec<Value> = (0..9).map(|n| one(&format!("n{n}"))).collect();
    for (attributes, said) in [
        (json!(nine), "AttributeLimitExceededException"),
        (
            json!([{ "name": "a", "targetId": "f".repeat(32) }]),
            "TargetNotFoundException",
        ),
        (json!([one("ecs.os-type")]), "those of ECS itself"),
        (json!([one("")]), "1 to 128"),
        (
            json!([{ "naem": "a" }]),
            "attributes[0].name can not be blank.",
        ),
    ] {
        let refusal = refused(&api, "PutAttributes", json!({ "attributes": attributes })).await;
        assert!(refusal.contains(said), "{refusal}");
    }
    done(
        &api,
        "DeleteAttributes",
        json!({ "attributes": [one("a"), one("b")] }),
    )
    .await;
    let named = json!({ "targetType": "container-instance", "attributeName": "a" });
    assert_eq!(
        done(&api, "ListAttributes", named).await["attributes"],
        json!([])
    );
}

#[tokio::test]
async fn account_settings_are_the_defaults_until_somebody_changes_them() {
    let api = Api::new().await;
    let effective = json!({ "effectiveSettings": true, "maxResults": 100 });
    let all = done(&api, "ListAccountSettings", effective).await;
    assert_eq!(all["settings"].as_array().unwrap().len(), 11);
    let one = json!({ "effectiveSettings": true, "name": "taskLongArnFormat" });
    let one = done(&api, "ListAccountSettings", one).await;
    assert_eq!(one["settings"][0]["value"], "enabled");
    let own = done(&api, "ListAccountSettings", json!({})).await;
    assert_eq!(own, json!({ "settings": [] }));

    let put = json!({ "name": "containerInsights", "value": "enhanced" });
    done(&api, "PutAccountSettingDefault", put).await;
    let made = done(&api, "CreateCluster", json!({ "clusterName": "blue" })).await;
    assert_eq!(made["cluster"]["settings"][0]["value"], "enhanced");
    let put = json!({ "name": "containerInsights", "value": "enabled" });
    done(&api, "PutAccountSetting", put.clone()).await;
    let own = done(&api, "ListAccountSettings", json!({})).await;
    assert_eq!(own["settings"][0]["value"], "enabled");
    let mut of_another = put;
    of_another["principalArn"] = json!("arn:aws:iam::000000000000:user/alice");
    done(&api, "PutAccountSetting", of_another).await;
    let gone = done(
        &api,
        "DeleteAccountSetting",
        json!({ "name": "containerInsights" }),
    )
    .await;
    assert_eq!(
        gone["setting"]["value"], "enhanced",
        "the default holds again"
    );
    let alice = json!({ "principalArn": "arn:aws:iam::000000000000:user/alice" });
    let alice = done(&api, "ListAccountSettings", alice).await;
    assert_eq!(alice["settings"].as_array().unwrap().len(), 1);
    for (input, said) in [
        (json!({ "name": "x", "value": "y" }), "name is"),
        (
            json!({ "name": "containerInsights", "value": "y" }),
            "value is",
        ),
        (
            json!({ "name": "guardDutyActivate", "value": "on" }),
            "managed by AWS",
        ),
        (
            json!({ "name": "containerInsights", "value": "enabled", "principalArn": "me" }),
            "principalArn",
        ),
    ] {
        let refusal = refused(&api, "PutAccountSetting", input).await;
        assert!(refusal.contains(said), "{refusal}");
    }
}

#[tokio::test]
async fn what_a_definition_asks_for_in_vain_is_told_of_its_tasks_and_services() {
    let api = Api::new().await;
    let mut definition = hello();
    definition["volumes"] =
        json!([{ "name": "data", "efsVolumeConfiguration": { "fileSystemId": "fs-1" } }]);
    definition["proxyConfiguration"] = json!({ "type": "APPMESH", "containerName": "hello" });
    let made =
        done(&api, "RegisterTaskDefinition", definition.clone()).await["taskDefinition"].take();
    assert_eq!(made["proxyConfiguration"], definition["proxyConfiguration"]);
    assert_eq!(made["volumes"], definition["volumes"]);
    let task = done(&api, "RunTask", json!({ "taskDefinition": "hello" })).await["tasks"][0].take();
    let path = format!("/v1/events?subject={}", id(&task["taskArn"]));
    let events = api
        .call(request("GET", &path).body(Body::empty()).unwrap())
        .await;
    let order = json!({ "serviceName": "web", "taskDefinition": "hello", "desiredCount": 1 });
    let service = done(&api, "CreateService", order).await["service"].take();
    for told in [events.text().to_owned(), service["events"].to_string()] {
        for what in [
            "volumes[0].efsVolumeConfiguration: ",
            "proxyConfiguration: ",
        ] {
            assert!(told.contains(what), "{what}: {told}");
        }
    }
}

#[tokio::test]
async fn tasks_are_filtered_before_they_are_cut_into_pages() {
    let api = api().await;
    let run = async |launch_type: &str| {
        let order = json!({ "taskDefinition": "hello", "launchType": launch_type });
        done(&api, "RunTask", order).await["tasks"][0]["taskArn"].take()
    };
    let (first, second) = (run("FARGATE").await, run("FARGATE").await);
    let other = run("EC2").await;
    let list = async |more: Value| {
        let mut input = json!({ "launchType": "FARGATE", "maxResults": 1 });
        super::super::show::add(&mut input, more);
        done(&api, "ListTasks", input).await
    };
    let page = list(json!({})).await;
    assert_eq!(page["taskArns"], json!([second]), "{page}");
    let page = list(json!({ "nextToken": page["nextToken"] })).await;
    assert_eq!(page["taskArns"], json!([first]), "{page}");
    assert!(page.get("nextToken").is_none(), "{page}");
    let page = list(json!({ "launchType": "EC2" })).await;
    assert_eq!(page["taskArns"], json!([other]), "{page}");
}

#[tokio::test]
async fn rest_shows_the_task_sets_that_ecs_made() {
    let api = api().await;
    let service = json!({ "serviceName": "canary", "desiredCount": 4, "deploymentController": { "type": "EXTERNAL" } });
    done(&api, "CreateService", service).await;
    let shown = async || {
        let answer = api.get("/v1/services/canary").await;
        answer.json()
    };
    assert!(shown().await.get("taskSets").is_none());
    let set = json!({
        "cluster": "default", "service": "canary", "taskDefinition": "hello", "externalId": "blue",
        "scale": { "value": 62.5, "unit": "PERCENT" },
    });
    let made = done(&api, "CreateTaskSet", set).await;
    let sets = shown().await["taskSets"].take();
    assert_eq!(sets[0]["id"], made["taskSet"]["id"]);
    assert_eq!(sets[0]["status"], "ACTIVE");
    assert_eq!(sets[0]["taskDefinition"], "hello:1");
    assert_eq!(
        (&sets[0]["scalePercent"], &sets[0]["desiredCount"]),
        (&json!(62.5), &json!(3))
    );
    assert_eq!(sets[0]["externalId"], "blue");
}

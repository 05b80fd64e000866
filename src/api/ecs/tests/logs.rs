//! `CloudWatch` Logs on the wire of ECS; the real clients read what real containers wrote in `tests/ecs.rs`.

use serde_json::{Value, json};

use super::{done, refused};
use crate::api::rest::tests::Api;

async fn logs(api: &Api, operation: &str, input: Value) -> Value {
    done(api, &format!("Logs_20140328.{operation}"), input).await
}

async fn no_logs(api: &Api, operation: &str, input: Value) -> String {
    refused(api, &format!("Logs_20140328.{operation}"), input).await
}

#[tokio::test]
async fn groups_are_made_listed_tagged_and_deleted() {
    let api = Api::new().await;
    let group = |name: &str| json!({ "logGroupName": name });
    let made = json!({ "logGroupName": "/ecs/web", "tags": { "team": "shop" } });
    assert_eq!(logs(&api, "CreateLogGroup", made.clone()).await, json!({}));
    let said = no_logs(&api, "CreateLogGroup", made).await;
    assert_eq!(
        said,
        "ResourceAlreadyExistsException: The specified log group already exists"
    );
    logs(&api, "CreateLogGroup", group("/ecs/other")).await;
    let retention = json!({ "logGroupName": "/ecs/web", "retentionInDays": 14 });
    logs(&api, "PutRetentionPolicy", retention).await;
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/web";
    let tag = json!({ "resourceArn": arn, "tags": { "stage": "test" } });
    logs(&api, "TagResource", tag).await;
    let untag = json!({ "resourceArn": arn, "tagKeys": ["team"] });
    logs(&api, "UntagResource", untag).await;
    let tags = logs(&api, "ListTagsForResource", json!({ "resourceArn": arn })).await;
    assert_eq!(tags, json!({ "tags": { "stage": "test" } }));

    let first = json!({ "logGroupNamePrefix": "/ecs/", "limit": 1 });
    let page = logs(&api, "DescribeLogGroups", first).await;
    assert_eq!(page["logGroups"][0]["logGroupName"], "/ecs/other");
    let next = json!({ "logGroupNamePrefix": "/ecs/", "nextToken": page["nextToken"] });
    let page = logs(&api, "DescribeLogGroups", next).await;
    let mut shown = page["logGroups"][0].clone();
    shown.as_object_mut().unwrap().remove("creationTime");
    assert_eq!(
        shown,
        json!({
            "logGroupName": "/ecs/web", "retentionInDays": 14, "metricFilterCount": 0, "storedBytes": 0,
            "arn": format!("{arn}:*"), "logGroupArn": arn, "logGroupClass": "STANDARD",
        })
    );
    assert_eq!(page.get("nextToken"), None);

    logs(&api, "DeleteRetentionPolicy", group("/ecs/web")).await;
    logs(&api, "DeleteLogGroup", group("/ecs/web")).await;
    let said = no_logs(&api, "DeleteLogGroup", group("/ecs/web")).await;
    assert_eq!(
        said,
        "ResourceNotFoundException: The specified log group does not exist."
    );
}

#[tokio::test]
async fn the_streams_of_a_task_are_there_with_the_task() {
    let api = Api::new().await;
    let definition = json!({
        "family": "web", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{ "name": "main", "image": "busybox", "logConfiguration": {
            "logDriver": "awslogs",
            "options": { "awslogs-group": "/ecs/web", "awslogs-stream-prefix": "p", "awslogs-region": "us-east-1" },
        } }],
    });
    done(&api, "RegisterTaskDefinition", definition).await;
    let task = done(&api, "RunTask", json!({ "taskDefinition": "web" })).await;
    let arn = task["tasks"][0]["taskArn"].as_str().unwrap();
    let stream = format!("p/main/{}", arn.rsplit('/').next().unwrap());
    let group = json!({ "logGroupName": "/ecs/web" });
    // The engine is away here, so nobody knows what was written when.
    let page = logs(&api, "DescribeLogStreams", group).await;
    assert_eq!(page["logStreams"][0]["logStreamName"], stream);
    let made = json!({ "logGroupName": "/ecs/web", "logStreamName": "own" });
    logs(&api, "CreateLogStream", made.clone()).await;
    let said = no_logs(&api, "CreateLogStream", made).await;
    assert!(
        said.starts_with("ResourceAlreadyExistsException: "),
        "{said}"
    );
    let by_name = json!({ "logGroupName": "/ecs/web", "descending": true, "limit": 1 });
    let page = logs(&api, "DescribeLogStreams", by_name).await;
    assert_eq!(
        page["logStreams"][0]["logStreamName"], stream,
        "p is behind o"
    );
    // Nobody has written anything yet, and reading goes on from where it was.
    let read = json!({ "logGroupName": "/ecs/web", "logStreamName": "own", "startFromHead": true });
    let page = logs(&api, "GetLogEvents", read.clone()).await;
    assert_eq!(
        (&page["events"], &page["nextForwardToken"]),
        (&json!([]), &json!("f/0/0"))
    );
    let mut again = read;
    again["nextToken"] = page["nextForwardToken"].clone();
    let again = logs(&api, "GetLogEvents", again).await;
    assert_eq!(again["nextForwardToken"], page["nextForwardToken"]);
    let own = json!({ "logGroupName": "/ecs/web", "logStreamNames": ["own"] });
    let all = logs(&api, "FilterLogEvents", own).await;
    assert_eq!(all, json!({ "events": [], "searchedLogStreams": [] }));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_words_of_cloudwatch_logs() {
    let api = Api::new().await;
    logs(&api, "CreateLogGroup", json!({ "logGroupName": "/a" })).await;
    for (operation, input, said) in [
        (
            "GetLogEvents",
            json!({ "logGroupName": "/a", "logStreamName": "s" }),
            "ResourceNotFoundException: The specified log stream does not exist.",
        ),
        (
            "FilterLogEvents",
            json!({ "logGroupName": "/b" }),
            "ResourceNotFoundException: The specified log group does not exist.",
        ),
        (
            "FilterLogEvents",
            json!({ "logGroupName": "/a", "filterPattern": "{ $.a = 1 }" }),
            "InvalidParameterException: Invalid filter pattern: patterns for JSON",
        ),
        (
            "FilterLogEvents",
            json!({ "logGroupName": "/a", "nextToken": "x" }),
            "InvalidParameterException: ",
        ),
        (
            "FilterLogEvents",
            json!({ "logGroupName": "/a", "limit": 10_001 }),
            "InvalidParameterException: ",
        ),
        (
            "FilterLogEvents",
            json!({ "logGroupName": "/a", "logGroupIdentifier": "/a" }),
            "InvalidParameterException: Either",
        ),
        (
            "FilterLogEvents",
            json!({ "logGroupName": "/a", "startTime": "now" }),
            "SerializationException: startTime: STRING_VALUE can not be converted to a Long",
        ),
        (
            "CreateLogGroup",
            json!({ "logGroupName": "a b" }),
            "InvalidParameterException: log group name",
        ),
        (
            "CreateLogStream",
            json!({ "logGroupName": "/a", "logStreamName": "a:b" }),
            "InvalidParameterException: ",
        ),
        (
            "PutRetentionPolicy",
            json!({ "logGroupName": "/a", "retentionInDays": 2 }),
            "InvalidParameterException: retentionInDays must be one of",
        ),
        ("PutLogEvents", json!({}), "UnknownOperationException: "),
    ] {
        let found = no_logs(&api, operation, input.clone()).await;
        assert!(found.starts_with(said), "{operation} {input}: {found}");
    }
}

//! Every noun's good path, pages, and requests that are repeated.

use axum::body::Body;
use serde_json::json;

use super::{Answer, Api, HELLO, JSON, YAML, request};
use crate::domain::{
    CpuUnits, EndEvidence, MemoryMib, TaskId, TimestampMs, UsageChange, UsageInterval,
};

#[tokio::test]
async fn a_cluster_is_created_shown_and_deleted() {
    let api = Api::new().await;
    let answer = api
        .post("/v1/clusters", JSON, r#"{"clusterName": "blue"}"#)
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["clusterName"], "blue");
    assert_eq!(
        api.post("/v1/clusters", YAML, "clusterName: blue")
            .await
            .json(),
        answer.json()
    );

    let shown = api.get("/v1/clusters/blue").await.json();
    assert_eq!(
        (&shown["status"], &shown["runningTasksCount"]),
        (&json!("ACTIVE"), &json!(0))
    );
    let names: Vec<_> = api.get("/v1/clusters").await.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cluster| cluster["clusterName"].clone())
        .collect();
    assert_eq!(names, ["blue", "default"]);

    assert_eq!(api.delete("/v1/clusters/blue").await.status, 204);
    assert_eq!(
        api.get("/v1/clusters/blue").await.problem(),
        "404 not-found: cluster \"blue\" does not exist\n\
         hint: neargate clusters lists those that do; neargate clusters create NAME makes one"
    );
    assert!(
        api.delete("/v1/clusters/blue")
            .await
            .problem()
            .starts_with("404 not-found: ")
    );

    let default = api.delete("/v1/clusters/default").await.problem();
    assert!(
        default.starts_with("409 conflict: cluster \"default\" cannot be deleted"),
        "{default}"
    );
    api.run_hello(1).await;
    api.post("/v1/clusters", YAML, "clusterName: red").await;
    api.post("/v1/tasks", YAML, "{taskDefinition: hello, cluster: red}")
        .await;
    let in_use = api.delete("/v1/clusters/red").await.problem();
    assert!(
        in_use
            .starts_with("409 cluster-in-use: cluster \"red\" still has 1 task that did not stop"),
        "{in_use}"
    );
    assert!(in_use.contains("\nhint: stop its tasks"), "{in_use}");
}

#[tokio::test]
async fn a_task_definition_goes_through_its_life() {
    let api = Api::new().await;
    let first = api.post("/v1/task-definitions", YAML, HELLO).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.header("location"), "/v1/task-definitions/hello:1");
    assert_eq!(first.json()["document"]["cpu"], "256");
    let document = first.json()["document"].to_string();
    let second = api
        .post(
            "/v1/task-definitions",
            "application/json; charset=utf-8",
            document,
        )
        .await;
    assert_eq!(second.json()["taskDefinition"], "hello:2");
    assert_eq!(second.json()["document"], first.json()["document"]);

    assert_eq!(
        api.get("/v1/task-definitions/hello").await.json(),
        second.json()
    );
    assert_eq!(
        api.get("/v1/task-definitions/hello:1").await.json(),
        first.json()
    );
    assert_eq!(
        api.get("/v1/task-definitions/hello%3A1").await.json(),
        first.json()
    );

    assert_eq!(
        api.delete("/v1/task-definitions/hello:1").await.problem(),
        "409 conflict: task definition \"hello:1\" is ACTIVE\n\
         hint: deregister it first: neargate definitions deregister hello:1"
    );
    let gone = api
        .call(
            request("POST", "/v1/task-definitions/hello:1/deregister")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    assert_eq!(
        (gone.status.as_u16(), &gone.json()["status"]),
        (200, &json!("INACTIVE"))
    );
    let inactive = api
        .get("/v1/task-definitions?status=INACTIVE&familyPrefix=he")
        .await
        .json();
    assert_eq!(inactive["items"], json!([gone.json()]));
    assert_eq!(
        api.get("/v1/task-definitions?family=hello").await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let refused = api
        .post("/v1/tasks", YAML, "taskDefinition: hello:1")
        .await
        .problem();
    assert!(
        refused.starts_with("409 conflict: task definition \"hello:1\" is INACTIVE"),
        "{refused}"
    );

    assert_eq!(api.delete("/v1/task-definitions/hello:1").await.status, 204);
    assert!(
        api.get("/v1/task-definitions/hello:1")
            .await
            .problem()
            .starts_with("404 not-found: ")
    );
    assert!(
        api.delete("/v1/task-definitions/hello")
            .await
            .problem()
            .starts_with("400 invalid-request: taskDefinition: ")
    );
}

#[tokio::test]
async fn what_has_no_effect_is_said_when_it_is_registered() {
    let api = Api::new().await;
    let answer = api
        .post(
            "/v1/task-definitions",
            YAML,
            format!("{HELLO}\ntaskRoleArn: arn:aws:iam::1:role/x\n"),
        )
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let warnings = answer.json()["warnings"].to_string();
    assert!(warnings.contains("taskRoleArn"), "{warnings}");
}

#[tokio::test]
async fn a_task_is_run_shown_found_and_stopped() {
    let api = Api::new().await;
    let ids = api.run_hello(2).await;
    let task = api.get(&format!("/v1/tasks/{}", ids[0])).await.json();
    assert_eq!(task["lastStatus"], "PROVISIONING");
    assert_eq!(task["desiredStatus"], "RUNNING");
    assert_eq!(task["group"], "family:hello");
    assert_eq!(task["usage"], json!(null));
    assert_eq!(
        api.get(&format!("/v1/tasks/{}", &ids[0][..8])).await.json(),
        task
    );

    let several = api.get("/v1/tasks/0000").await.problem();
    assert!(
        several.starts_with("409 conflict: several tasks begin with \"0000\"\nhint: write more"),
        "{several}"
    );
    assert!(
        api.get("/v1/tasks/ffff")
            .await
            .problem()
            .starts_with("404 not-found: task \"ffff\" does not exist")
    );

    let path = format!("/v1/tasks/{}/stop", ids[0]);
    let stopped = api.post(&path, JSON, r#"{"reason": "enough"}"#).await;
    assert_eq!(stopped.json()["desiredStatus"], "STOPPED");
    let again = api
        .call(request("POST", &path).body(Body::empty()).unwrap())
        .await;
    assert_eq!(again.json(), stopped.json(), "asking twice changes nothing");

    let list = |query: &str| {
        let path = format!("/v1/tasks?{query}");
        let api = &api;
        async move {
            let items = api.get(&path).await.json()["items"]
                .as_array()
                .cloned()
                .unwrap();
            items
                .iter()
                .map(|task| task["taskId"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(list("").await, [ids[1].clone(), ids[0].clone()]);
    assert_eq!(list("desiredStatus=STOPPED").await, [ids[0].clone()]);
    assert_eq!(
        list("desiredStatus=running&family=hello&cluster=default").await,
        [ids[1].clone()]
    );
    assert_eq!(list("lastStatus=RUNNING").await, Vec::<String>::new());
    assert_eq!(
        list("group=family%3Ahello&startedBy=nobody").await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_list_comes_in_pages_that_miss_and_double_nothing() {
    let api = Api::new().await;
    let mut ids = api.run_hello(7).await;
    ids.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/tasks?limit=3".to_owned();
    for page in 0.. {
        let answer = api.get(&path).await.json();
        for task in answer["items"].as_array().unwrap() {
            seen.push(task["taskId"].as_str().unwrap().to_owned());
        }
        let Some(token) = answer["nextToken"].as_str() else {
            assert_eq!(page, 2);
            break;
        };
        path = format!("/v1/tasks?limit=3&nextToken={token}");
    }
    assert_eq!(seen, ids);

    let token = api.get("/v1/tasks?limit=1").await.json()["nextToken"]
        .as_str()
        .unwrap()
        .to_owned();
    for path in [
        "/v1/tasks?nextToken=x".to_owned(),
        format!("/v1/clusters?nextToken={token}"),
        format!("/v1/events?nextToken={token}"),
    ] {
        assert_eq!(
            api.get(&path).await.problem(),
            "400 bad-page-token: nextToken is not one of this list's\n\
             hint: send a nextToken as it was given, or none to begin at the first page"
        );
    }
}

#[tokio::test]
async fn a_repeated_client_token_gives_the_first_answer_and_another_request_is_refused() {
    let api = Api::new().await;
    api.run_hello(1).await;
    let ids = |answer: &Answer| -> Vec<_> {
        answer.json()["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| task["taskId"].clone())
            .collect()
    };
    let first = api
        .post(
            "/v1/tasks",
            JSON,
            r#"{"taskDefinition":"hello","count":2,"clientToken":"t"}"#,
        )
        .await;
    assert_eq!((first.status.as_u16(), ids(&first).len()), (201, 2));
    let again = api
        .post(
            "/v1/tasks",
            YAML,
            "clientToken: t\ncount: 2\ncluster: default\ntaskDefinition: hello",
        )
        .await;
    assert_eq!(ids(&again), ids(&first));
    // Also when the definition could no longer be run.
    let path = "/v1/task-definitions/hello:1/deregister";
    assert_eq!(api.post(path, JSON, "").await.status.as_u16(), 200);
    let later = api
        .post(
            "/v1/tasks",
            JSON,
            r#"{"taskDefinition":"hello","count":2,"clientToken":"t"}"#,
        )
        .await;
    assert_eq!(ids(&later), ids(&first));
    assert_eq!(
        api.get("/v1/tasks").await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        api.post("/v1/tasks", YAML, "taskDefinition: hello\nclientToken: t")
            .await
            .problem(),
        "409 client-token-reused: the client token was used before, with another request\n\
         hint: send the very same request again, or another clientToken"
    );
}

#[tokio::test]
async fn usage_is_shown_with_the_task_and_in_a_report() {
    let api = Api::new().await;
    let id = api.run_hello(1).await.remove(0);
    let nothing = api.get(&format!("/v1/tasks/{id}/usage")).await.problem();
    assert!(
        nothing.starts_with(&format!(
            "404 not-found: task \"{id}\" has reserved nothing yet\nhint: "
        )),
        "{nothing}"
    );

    let task_id: TaskId = id.parse().unwrap();
    let task = api.store.task(&task_id).await.unwrap().unwrap();
    let opened_at = task.created_at;
    let closed_at = TimestampMs::from_millis(opened_at.as_millis() + 60_000);
    let interval = UsageInterval {
        task_id,
        cluster: task.cluster.clone(),
        definition: task.spec.definition.clone(),
        cpu: CpuUnits(256),
        memory: MemoryMib(512),
        opened_at,
        closed: None,
    };
    let close = UsageChange::Close {
        at: closed_at,
        evidence: EndEvidence::Engine,
    };
    api.store
        .record_task(&task, &[], &[UsageChange::Open(interval), close])
        .await
        .unwrap();

    let usage = api
        .get(&format!("/v1/tasks/{}/usage", &id[..8]))
        .await
        .json();
    assert_eq!(usage["durationMs"], 60_000);
    assert_eq!(usage["vcpuSeconds"], "15.000000");
    assert_eq!(
        api.get(&format!("/v1/tasks/{id}")).await.json()["usage"],
        usage
    );

    let report = api.get("/v1/usage?family=hello&from=1h").await.json();
    assert_eq!(report["items"][0]["taskId"], id.as_str());
    assert_eq!(report["items"][0]["revision"], 1);
    assert_eq!(report["total"]["vcpuSeconds"], "15.000000");
    assert_eq!(
        api.get("/v1/usage?cluster=other").await.json()["items"],
        json!([])
    );
    assert_eq!(
        api.get("/v1/usage?to=2001-01-01T00:00:00Z").await.json()["items"],
        json!([])
    );
}

#[tokio::test]
async fn events_are_listed_in_pages_and_by_what_they_are_about() {
    let api = Api::new().await;
    let id = api.run_hello(1).await.remove(0);
    let all = api.get("/v1/events").await.json();
    let seqs: Vec<u64> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert_eq!(all["nextToken"], json!(null));

    let one = api
        .get(&format!(
            "/v1/events?subject={id}&kind=TaskStateChange&cluster=default"
        ))
        .await
        .json();
    assert_eq!(one["items"][0]["status"], "PROVISIONING");
    assert_eq!(one["items"].as_array().unwrap().len(), 1);

    let mut seen = Vec::new();
    let mut path = "/v1/events?limit=1".to_owned();
    loop {
        let page = api.get(&path).await.json();
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| event["seq"].as_u64().unwrap()),
        );
        let Some(token) = page["nextToken"].as_str() else {
            break;
        };
        path = format!("/v1/events?limit=1&nextToken={token}");
    }
    assert_eq!(seen, seqs);
    let after = api
        .get(&format!("/v1/events?after={}", seqs.len() - 1))
        .await
        .json();
    assert_eq!(after["items"].as_array().unwrap().len(), 1);
}

//! What commands print, and where.

use std::sync::{Arc, Mutex};

use axum::extract::{Query, Request};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::fake::{neargate, server};
use super::sample;
use crate::shapes::{Problem, ProblemError};

type Params = Query<Vec<(String, String)>>;

fn param<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn a_list_is_walked_to_its_end_and_printed_as_one() {
    let pages = get(|params: Params| async move {
        let cluster = |name: &str| {
            json!({ "clusterName": name, "status": "ACTIVE", "createdAt": sample::CREATED,
                    "pendingTasksCount": 0, "runningTasksCount": 0, "later": "kept" })
        };
        Json(match param(&params, "nextToken") {
            None => json!({ "items": [cluster("a"), cluster("b")], "nextToken": "2" }),
            Some("2") => json!({ "items": [], "nextToken": "3" }),
            Some("3") => json!({ "items": [cluster("c")] }),
            Some(other) => panic!("{other}"),
        })
    });
    let address = server(Router::new().route("/v1/clusters", pages)).await;
    let done = neargate(address, &["clusters", "--output", "json"]).await;
    assert_eq!(done.result, Ok(0));
    let document: Value = serde_json::from_slice(&done.stdout).unwrap();
    let names: Vec<&str> = document["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|c| c["clusterName"].as_str())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(
        document["items"][0]["later"], "kept",
        "the answer is printed as it is"
    );
}

#[tokio::test]
async fn a_list_without_end_is_refused() {
    let pages = get(|| async { Json(json!({ "items": [], "nextToken": "again" })) });
    let address = server(Router::new().route("/v1/clusters", pages)).await;
    let failure = neargate(address, &["clusters"]).await.result.unwrap_err();
    assert!(
        failure.render(false).contains("its list has no end"),
        "{}",
        failure.render(false)
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_with_what_to_do() {
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let failure = neargate(address, &["ps"]).await.result.unwrap_err();
    assert_eq!(failure.code(), 1);
    assert_eq!(
        failure.render(false),
        format!(
            "error: no Neargate answers at http://{address}\nhint: start one: neargate serve\n"
        )
    );
}

#[tokio::test]
async fn something_else_that_answers_is_told_from_a_neargate() {
    let routes = Router::new()
        .route("/v1/clusters", get(|| async { "<html>hello</html>" }))
        .route(
            "/readyz",
            get(|| async { (StatusCode::BAD_GATEWAY, "<html>") }),
        );
    let address = server(routes).await;
    let text = neargate(address, &["clusters"])
        .await
        .result
        .unwrap_err()
        .render(false);
    assert!(
        text.starts_with(&format!(
            "error: what answers at http://{address} is no Neargate"
        )),
        "{text}"
    );
    let text = neargate(address, &["status"])
        .await
        .result
        .unwrap_err()
        .render(false);
    assert!(text.contains("answered with HTTP status 502"), "{text}");
}

#[tokio::test]
async fn all_files_are_tried_and_faults_look_like_a_compilers() {
    let register = post(|request: Request| async move {
        assert_eq!(request.headers()[header::CONTENT_TYPE], "application/yaml");
        let body = axum::body::to_bytes(request.into_body(), 1_000)
            .await
            .unwrap();
        if body.starts_with(b"good") {
            return (StatusCode::CREATED, Json(sample::definition())).into_response();
        }
        let fault = ProblemError {
            path: "containerDefinitions[0].image".to_owned(),
            line: Some(12),
            column: Some(7),
            message: "is missing".to_owned(),
            hint: Some("name one".to_owned()),
        };
        let problem = Problem {
            status: 400,
            title: "Invalid".to_owned(),
            errors: vec![fault],
            ..Problem::default()
        };
        (
            StatusCode::BAD_REQUEST,
            [(header::CONTENT_TYPE, "application/problem+json")],
            Json(problem),
        )
            .into_response()
    });
    let address = server(Router::new().route("/v1/task-definitions", register)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (bad, good) = (file("bad.yaml", "bad"), file("good.yaml", "good"));
    let done = neargate(address, &["register", &bad, "missing.yaml", &good]).await;
    assert_eq!(done.result, Ok(1));
    assert_eq!(done.stdout(), "hello:1\n");
    assert_eq!(
        done.stderr,
        format!(
            "{bad}:12:7: containerDefinitions[0].image: is missing\n\
             hint: name one\n\
             error: missing.yaml cannot be read: No such file or directory (os error 2)\n\
             hint: a registered definition is named without a dot or slash: neargate definitions\n\
             warning: {good}: taskRoleArn: there are no roles here\n"
        )
    );
}

#[tokio::test]
async fn run_prints_ids_and_sends_what_was_typed() {
    let sent = Arc::new(Mutex::new(Value::Null));
    let noted = Arc::clone(&sent);
    let run = post(move |Json(request): Json<Value>| async move {
        *noted.lock().unwrap() = request;
        (
            StatusCode::CREATED,
            Json(json!({ "tasks": [sample::running_task()], "warnings": ["mind the gap"] })),
        )
    });
    let address = server(Router::new().route("/v1/tasks", run)).await;
    let arguments = [
        "run",
        "web:2",
        "-n",
        "2",
        "--env",
        "web:A=b=c",
        "--tag",
        "team=blue",
        "--cpu",
        "512",
        "--started-by",
        "ci",
        "--client-token",
        "t",
        "--container",
        "web",
        "--command",
        "serve",
        "--port",
        "80",
    ];
    let done = neargate(address, &arguments).await;
    assert_eq!(done.result, Ok(0));
    assert_eq!(done.stdout(), "fedcba9876543210fedcba9876543210\n");
    assert_eq!(done.stderr, "warning: mind the gap\n");
    assert_eq!(
        *sent.lock().unwrap(),
        json!({
            "cluster": "default",
            "taskDefinition": "web:2",
            "count": 2,
            "overrides": {
                "cpu": "512",
                "containerOverrides": [
                    { "name": "web", "command": ["serve", "--port", "80"], "environment": [{ "name": "A", "value": "b=c" }] },
                ],
            },
            "tags": [{ "key": "team", "value": "blue" }],
            "startedBy": "ci",
            "clientToken": "t",
        })
    );
}

#[tokio::test]
async fn ps_asks_for_what_has_not_stopped_and_shows_each_task_once() {
    let list = get(|params: Params| async move {
        assert_eq!(param(&params, "cluster"), Some("blue"));
        // It moves on between two questions, and is seen twice.
        let status = param(&params, "lastStatus").unwrap();
        let mut task = sample::running_task();
        status.clone_into(&mut task.last_status);
        let items = if matches!(status, "PENDING" | "RUNNING") {
            vec![task]
        } else {
            vec![]
        };
        Json(json!({ "items": items }))
    });
    let address = server(Router::new().route("/v1/tasks", list)).await;
    let done = neargate(address, &["ps", "--cluster", "blue", "-q"]).await;
    assert_eq!(done.stdout(), "fedcba9876543210fedcba9876543210\n");
    let done = neargate(address, &["ps", "--cluster", "blue", "--output", "yaml"]).await;
    assert!(
        done.stdout().contains("lastStatus: RUNNING"),
        "{}",
        done.stdout()
    );
    assert!(
        !done.stdout().contains("lastStatus: PENDING"),
        "{}",
        done.stdout()
    );
}

#[tokio::test]
async fn a_name_cannot_reach_another_resource() {
    let routes = Router::new()
        .route("/v1/tasks", get(|| async { Json(sample::running_task()) }))
        .route(
            "/v1/clusters/{name}",
            delete(|| async { StatusCode::NO_CONTENT }),
        )
        .route("/v1/clusters", delete(|| async { StatusCode::NO_CONTENT }));
    let address = server(routes).await;
    for arguments in [["logs", ".."], ["logs", "a/../.."], ["logs", "%2e%2e"]] {
        assert!(
            neargate(address, &arguments).await.result.is_err(),
            "{arguments:?}"
        );
    }
    assert!(
        neargate(address, &["clusters", "delete", ".."])
            .await
            .result
            .is_err()
    );
    let done = neargate(address, &["clusters", "delete", "blue"]).await;
    assert_eq!(
        (done.result, done.stderr.as_str()),
        (Ok(0), "cluster blue is deleted\n")
    );
}

#[tokio::test]
async fn describe_takes_a_task_before_a_family_of_the_same_name() {
    let not_found = |what: &str| {
        let problem = Problem {
            status: 404,
            detail: Some(format!("{what} does not exist")),
            ..Problem::default()
        };
        (StatusCode::NOT_FOUND, Json(problem)).into_response()
    };
    let routes = Router::new()
        .route(
            "/v1/tasks/{id}",
            get(move |request: Request| async move {
                let is_task = request.uri().path().ends_with("/0123");
                if is_task {
                    Json(sample::stopped_task()).into_response()
                } else {
                    not_found("task")
                }
            }),
        )
        .route(
            "/v1/task-definitions/{name}",
            get(move |request: Request| async move {
                let is_family = request.uri().path().ends_with("/beef");
                if is_family {
                    Json(sample::definition()).into_response()
                } else {
                    not_found("task definition")
                }
            }),
        );
    let address = server(routes).await;
    assert!(
        neargate(address, &["describe", "0123"])
            .await
            .stdout()
            .starts_with("Task ")
    );
    assert!(
        neargate(address, &["describe", "beef"])
            .await
            .stdout()
            .starts_with("Definition ")
    );
    let fact = |done: super::fake::Done| {
        let text = done.result.unwrap_err().render(false);
        text.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        fact(neargate(address, &["describe", "cafe"]).await),
        "error: task does not exist"
    );
    assert_eq!(
        fact(neargate(address, &["describe", "web:1"]).await),
        "error: task definition does not exist"
    );
}

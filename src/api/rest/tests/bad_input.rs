//! Whatever is wrong with a request is said in a problem document: what, where, and what to do.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header;

use super::{Api, HELLO, JSON, YAML, request};

#[tokio::test]
async fn all_faults_of_a_document_come_in_one_answer_with_their_places() {
    let api = Api::new().await;
    let body = "family: hello\ncpu: '256'\nmemory: '4096'\ncontainerDefinitions:\n- name: a b\n  imaeg: x\n";
    let answer = api.post("/v1/task-definitions", YAML, body).await;
    let problem = answer.problem();
    assert!(problem.starts_with("400 invalid-request: "), "{problem}");
    for place in [
        "5:3 containerDefinitions[0].name: ",
        "6:3 containerDefinitions[0].imaeg: ",
    ] {
        assert!(problem.contains(place), "{place}\n{problem}");
    }
    assert_eq!(answer.json()["instance"], "/v1/task-definitions");
    let hints = answer.json()["errors"].to_string();
    assert!(hints.contains("image"), "{hints}");
}

#[tokio::test]
async fn documents_that_cannot_be_read_are_refused() {
    let api = Api::new().await;
    for (content_type, body, beginning) in [
        (YAML, "family: [", "400 invalid-request: is not "),
        (YAML, "", "400 invalid-request: "),
        (JSON, "{\"family\": \"a\",}", "400 invalid-request: is not "),
        (JSON, "family: a", "400 invalid-request: is not "),
        (JSON, "[]", "400 invalid-request: "),
        (JSON, "\u{0}", "400 invalid-request: "),
    ] {
        for path in ["/v1/task-definitions", "/v1/tasks", "/v1/clusters"] {
            let problem = api.post(path, content_type, body).await.problem();
            assert!(problem.starts_with(beginning), "{path} {body:?}: {problem}");
        }
    }
    let not_utf8 = api
        .post("/v1/tasks", YAML, vec![b'a', 0xff])
        .await
        .problem();
    assert!(
        not_utf8.starts_with("400 invalid-request: the document is not UTF-8"),
        "{not_utf8}"
    );
}

#[tokio::test]
async fn a_document_that_grows_through_its_aliases_is_refused_quickly() {
    let api = Api::new().await;
    let mut lines = vec!["a: &a [x, x, x, x, x, x, x, x, x]".to_owned()];
    for (letter, before) in ('b'..='k').zip('a'..='j') {
        let nine = vec![format!("*{before}"); 9].join(", ");
        lines.push(format!("{letter}: &{letter} [{nine}]"));
    }
    let bomb = lines.join("\n");
    let begun = Instant::now();
    let problem = api.post("/v1/task-definitions", YAML, bomb).await.problem();
    assert!(
        problem.starts_with("400 invalid-request: ") && problem.contains("too large"),
        "{problem}"
    );
    // Written out it is thirty thousand million words, so this is no matter of seconds.
    assert!(
        begun.elapsed() < Duration::from_mins(2),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_it_is_announced_or_not() {
    let api = Api::new().await;
    let body = vec![b'a'; 10 * 1_048_576];
    let begun = Instant::now();
    let announced = request("POST", "/v1/task-definitions")
        .header(header::CONTENT_TYPE, YAML)
        .header(header::CONTENT_LENGTH, body.len());
    let answer = api
        .call(announced.body(Body::from(body.clone())).unwrap())
        .await;
    let expected = "413 body-too-large: the body has more than 1048576 bytes, which is the limit\n\
                    hint: send a smaller document";
    assert_eq!(answer.problem(), expected);
    let chunks = futures_util::stream::iter(
        body.chunks(65_536)
            .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
            .collect::<Vec<_>>(),
    );
    assert_eq!(
        api.post("/v1/tasks", YAML, Body::from_stream(chunks))
            .await
            .problem(),
        expected
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_body_of_another_kind_is_not_read() {
    let api = Api::new().await;
    let hint = "\nhint: send Content-Type: application/json, or application/yaml";
    let problem = api
        .post("/v1/task-definitions", "text/plain", HELLO)
        .await
        .problem();
    assert_eq!(
        problem,
        format!("415 unsupported-media-type: a body of type \"text/plain\" is not read here{hint}")
    );
    let silent = request("POST", "/v1/tasks")
        .body(Body::from(HELLO))
        .unwrap();
    assert_eq!(
        api.call(silent).await.problem(),
        format!("415 unsupported-media-type: the request does not say what its body is{hint}")
    );
    let compressed = request("POST", "/v1/tasks")
        .header("content-type", YAML)
        .header("content-encoding", "gzip");
    assert_eq!(
        api.call(compressed.body(Body::from("x")).unwrap())
            .await
            .problem(),
        "415 unsupported-media-type: the body is compressed\nhint: send it as it is"
    );
    let stop = request("POST", "/v1/tasks/0123/stop").header("content-type", "text/plain");
    assert!(
        api.call(stop.body(Body::from("x")).unwrap())
            .await
            .problem()
            .starts_with("415 ")
    );
}

#[tokio::test]
async fn parameters_are_checked_all_at_once() {
    let api = Api::new().await;
    for (path, expected) in [
        (
            "/v1/tasks?limit=0",
            "400 invalid-request: limit: must be a whole number from 1 to 1000",
        ),
        (
            "/v1/clusters?limit=1001",
            "400 invalid-request: limit: must be a whole number from 1 to 1000",
        ),
        (
            "/v1/tasks?famly=a",
            "400 invalid-request: famly: is not a parameter of this request\nhint: did you mean family?",
        ),
        (
            "/v1/clusters?colour=blue",
            "400 invalid-request: colour: is not a parameter of this request\nhint: its parameters are: limit, nextToken",
        ),
        (
            "/v1/tasks?family=a&family=b",
            "400 invalid-request: family: is there twice",
        ),
        (
            "/v1/tasks?desiredStatus=PAUSED",
            "400 invalid-request: desiredStatus: is \"PAUSED\"\nhint: it can be: RUNNING, STOPPED",
        ),
        (
            "/v1/tasks?limit=x&cluster=a%20b",
            "400 invalid-request: 2 things are wrong with it\n\
             cluster: cluster name `a b` is not valid: use up to 255 letters, digits, hyphens and underscores\n\
             limit: must be a whole number from 1 to 1000",
        ),
        (
            "/v1/usage?from=yesterday",
            "400 invalid-request: from: is not a point in time\n\
             hint: write it as 2026-01-31T08:15:00Z, or as how long ago it was: 30s, 10m, 2h, 1d",
        ),
        (
            "/v1/events?after=1&nextToken=x",
            "400 invalid-request: after: is there together with nextToken\nhint: send the one or the other",
        ),
        (
            "/v1/tasks/0123/logs?follow=maybe&tail=-1",
            "400 invalid-request: 2 things are wrong with it\nfollow: must be true or false\ntail: must be a whole number from 0 on",
        ),
        (
            "/v1/events/stream?after=x",
            "400 invalid-request: after: must be a whole number from 0 on",
        ),
    ] {
        assert_eq!(api.get(path).await.problem(), expected, "{path}");
    }
    let many = format!("/v1/tasks?{}", "a=b&".repeat(40));
    assert!(
        api.get(&many)
            .await
            .problem()
            .contains("the query has 40 parameters"),
        "{many}"
    );
    let kind = api.get("/v1/events?kind=Nonsense").await.problem();
    assert!(
        kind.contains("TaskStateChange, TaskStopRequested"),
        "{kind}"
    );
}

#[tokio::test]
async fn names_in_paths_are_checked() {
    let api = Api::new().await;
    for (path, beginning) in [
        (
            "/v1/clusters/a%20b",
            "400 invalid-request: cluster name `a b` is not valid",
        ),
        (
            "/v1/clusters/%ff",
            "400 invalid-request: the path cannot be read",
        ),
        (
            "/v1/clusters/%1b%5B2J",
            "400 invalid-request: cluster name `\\u{1b}[2J` is not valid",
        ),
        (
            "/v1/task-definitions/web:0",
            "400 invalid-request: task definition `web:0` is not valid",
        ),
        (
            "/v1/tasks/xyz",
            "400 invalid-request: task: \"xyz\" is not a task ID",
        ),
        (
            "/v1/tasks/..%2F..%2Fetc%2Fpasswd",
            "400 invalid-request: task: ",
        ),
        ("/v1/tasks/'%20OR%20'1'='1", "400 invalid-request: task: "),
    ] {
        let problem = api.get(path).await.problem();
        assert!(problem.starts_with(beginning), "{path}: {problem}");
    }
}

#[tokio::test]
async fn requests_for_tasks_are_checked_against_their_definition() {
    let api = Api::new().await;
    api.run_hello(1).await;
    for (body, expected) in [
        (
            "taskDefinition: nobody",
            "404 not-found: task definition \"nobody\" does not exist\n\
             hint: neargate definitions lists those that do; neargate register FILE makes one",
        ),
        (
            "taskDefinition: hello\ncluster: blue",
            "404 not-found: cluster \"blue\" does not exist\n\
             hint: neargate clusters lists those that do; neargate clusters create NAME makes one",
        ),
        (
            "taskDefinition: hello\noverrides: {containerOverrides: [{name: web}]}",
            "400 invalid-request: overrides.containerOverrides[0].name: task definition hello:1 has no container `web`\n\
             hint: its containers are: hello",
        ),
    ] {
        assert_eq!(
            api.post("/v1/tasks", YAML, body).await.problem(),
            expected,
            "{body}"
        );
    }
    let count = api
        .post("/v1/tasks", YAML, "taskDefinition: hello\ncount: 101")
        .await
        .problem();
    assert!(count.starts_with("400 invalid-request: count: "), "{count}");
    assert_eq!(
        api.get("/v1/tasks").await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1,
        "nothing was accepted"
    );
}

#[tokio::test]
async fn what_is_not_there_leads_to_what_is() {
    let api = Api::new().await;
    let answer = api.get("/v1/task").await;
    assert_eq!(
        answer.problem(),
        "404 no-such-route: nothing answers at /v1/task\nhint: the nearest is /v1/tasks; GET /docs describes all of them"
    );
    assert!(!answer.header("x-request-id").is_empty());
    assert!(
        api.get("/v1/clusters/")
            .await
            .problem()
            .contains("the nearest is /v1/clusters;")
    );

    let answer = api.delete("/v1/tasks").await;
    assert_eq!(
        answer.problem(),
        "405 method-not-allowed: /v1/tasks does not take DELETE\n\
         hint: the Allow header has the methods that it takes; GET /docs describes them"
    );
    let mut allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
}

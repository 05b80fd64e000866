//! HTML, scripts and escapes of terminals in every field that somebody controls: on no page does any of it get out of its place.

use serde_json::{Value, json};

use super::*;
use crate::domain::{
    ContainerStatus, DesiredStatus, EventKind, LastStatus, NetworkBinding, NewEvent, Protocol,
    StopCode, TimestampMs,
};
use crate::engine::EngineState;

/// What is written into each field; no page has an image, so none may have one now.
const NASTY: &str =
    "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7}}\u{1b}[2J\u{9b}6n\u{202e}";
/// The same where no line may hold a control character.
const NASTY_LINE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'";

/// A definition with something in each field.
fn document() -> Value {
    json!({
        "family": "shop",
        "cpu": "256",
        "memory": "512",
        "networkMode": "bridge",
        "taskRoleArn": "role",
        "executionRoleArn": "role",
        "volumes": [{ "name": "data", "dockerVolumeConfiguration": { "scope": "shared", "driver": "local", "labels": { "a": "b" } } }],
        "containerDefinitions": [
            {
                "name": "web",
                "image": "shop:1",
                "command": ["serve"],
                "entryPoint": ["/bin"],
                "workingDirectory": "/work",
                "user": "me",
                "hostname": "shop",
                "dependsOn": [{ "containerName": "db", "condition": "START" }],
                "portMappings": [{ "containerPort": 80, "name": "http", "appProtocol": "http" }],
                "environment": [{ "name": "GREETING", "value": "hello" }],
                "environmentFiles": [{ "type": "s3", "value": "file" }],
                "secrets": [{ "name": "STRIPE", "valueFrom": "stripe-key" }],
                "dockerLabels": { "a": "b" },
                "extraHosts": [{ "hostname": "other", "ipAddress": "10.0.0.1" }],
                "mountPoints": [{ "sourceVolume": "data", "containerPath": "/data" }],
                "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "g", "awslogs-region": "r", "awslogs-stream-prefix": "p" } },
                "healthCheck": { "command": ["CMD-SHELL", "true"] },
                "systemControls": [{ "namespace": "net.core.somaxconn", "value": "1" }],
            },
            { "name": "db", "image": "db:1", "essential": false },
        ],
        "tags": [{ "key": "team", "value": "blue" }],
    })
}

/// The places of all texts in `value`, as JSON pointers.
fn texts(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                texts(item, &format!("{at}/{place}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                texts(item, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

/// A page, whatever its status, on which nothing has got out of its place.
async fn look(browser: &mut Browser, path: &str) -> String {
    let answer = browser.go(path).await;
    check(&answer, path)
}

#[track_caller]
fn check(answer: &Answer, what: &str) -> String {
    check_page(answer);
    let html = answer.text();
    assert!(!html.contains("<img"), "{what}: {html}");
    html.to_owned()
}

#[tokio::test]
async fn whatever_a_field_of_a_definition_holds_is_text_on_every_page_or_refused_as_text() {
    let mut browser = Browser::new().await;
    let mut places = Vec::new();
    texts(&document(), "", &mut places);
    assert!(places.len() > 30, "{places:?}");
    let (mut taken, mut refused) = (0, 0);
    for place in &places {
        let with = |nasty: &str| {
            let mut document = document();
            *document.pointer_mut(place).unwrap() = json!(nasty);
            document.to_string()
        };
        // YAML, which the form takes, has no room for control characters; JSON has.
        let text = with(NASTY_LINE);
        let answer = browser.fill_in("/register", &[("document", &text)]).await;
        if answer.status != 303 {
            assert!(answer.status.is_client_error(), "{place}");
            check(&answer, place);
            refused += 1;
        }
        let json = "application/json";
        let answer = browser
            .api
            .post("/v1/task-definitions", json, with(NASTY))
            .await;
        if answer.status != 201 {
            assert!(answer.status.is_client_error(), "{place}");
            continue;
        }
        taken += 1;
        let answer = answer.json();
        let (family, revision) = (answer["family"].as_str(), answer["revision"].as_u64());
        let page = format!(
            "/task-definitions/{}/{}",
            family.unwrap(),
            revision.unwrap()
        );
        let html = look(&mut browser, &page).await;
        assert!(html.contains("alert(1)"), "{place} is not in {html}");
        let run = format!("{page}/run");
        let answer = browser.fill_in(&run, &[("cluster", "default")]).await;
        check(&answer, place);
    }
    assert!(taken > 5 && refused > 5, "{taken} taken, {refused} refused");
    let first = "/task-definitions/shop/diff?from=1&to=2";
    for path in ["/task-definitions", "/task-definitions/shop", first] {
        look(&mut browser, path).await;
    }
}

#[tokio::test]
async fn whatever_a_request_for_a_task_holds_is_text_on_every_page() {
    let mut browser = Browser::new().await;
    browser.api.run_hello(1).await;
    let order = |nasty: &str| {
        json!({
            "taskDefinition": "hello",
            "startedBy": nasty,
            "group": nasty,
            "tags": [{ "key": "team", "value": nasty }, { "key": nasty, "value": "x" }],
            "overrides": { "containerOverrides": [{
                "name": "hello", "command": [nasty], "environment": [{ "name": "A", "value": nasty }],
            }] },
        })
    };
    // As far as the API takes it: each field by itself, with and without control characters.
    let mut shown = 0;
    for nasty in [NASTY, NASTY_LINE] {
        for field in ["startedBy", "group", "tags", "overrides"] {
            let whole = order(nasty);
            let one = json!({ "taskDefinition": "hello", field: whole[field] });
            let json = "application/json";
            let answer = browser.api.post("/v1/tasks", json, one.to_string()).await;
            if answer.status != 201 {
                assert!(answer.status.is_client_error(), "{field}");
                continue;
            }
            let answer = answer.json();
            let id = answer["tasks"][0]["taskId"].as_str().unwrap();
            let html = look(&mut browser, &format!("/tasks/{id}")).await;
            shown += usize::from(html.contains("&#60;script&#62;alert(1)"));
        }
    }
    assert!(shown > 2, "{shown} of them are shown");
    for path in ["/", "/tasks", "/cost", "/cost?by=tag&tag=team", "/events"] {
        look(&mut browser, path).await;
    }
    for field in [
        "tags",
        "startedBy",
        "cluster",
        "command.hello",
        "environment.hello",
        "cpu",
        "count",
    ] {
        let run = "/task-definitions/hello/1/run";
        check(&browser.fill_in(run, &[(field, NASTY)]).await, field);
    }
}

#[tokio::test]
async fn whatever_an_engine_or_a_program_says_is_text_on_every_page() {
    let mut browser = Browser::new().await;
    let ids = browser.api.run_hello(1).await;
    let store = browser.api.store.clone();
    for status in [
        LastStatus::Pending,
        LastStatus::Running,
        LastStatus::Stopped,
    ] {
        let mut task = store.task(&ids[0].parse().unwrap()).await.unwrap().unwrap();
        task.last_status = status;
        task.waiting = Some(NASTY.to_owned());
        task.address = Some(NASTY.to_owned());
        for container in task.containers.values_mut() {
            container.reason = Some(NASTY.to_owned());
            container.image_digest = Some(NASTY.to_owned());
            container.runtime_id = Some(NASTY.to_owned());
            container.network_bindings = vec![NetworkBinding {
                bind_ip: NASTY.to_owned(),
                container_port: 80,
                host_port: 8_080,
                protocol: Protocol::Tcp,
            }];
        }
        if status != LastStatus::Pending {
            task.started_at = Some(task.created_at);
        }
        if status == LastStatus::Stopped {
            task.planned_status = DesiredStatus::Stopped;
            task.stop_code = Some(StopCode::TaskFailedToStart);
            task.stopped_reason = Some(NASTY.to_owned());
            task.stopped_at = Some(crate::clock::Clock::now(&crate::clock::SystemClock));
            for container in task.containers.values_mut() {
                container.last_status = ContainerStatus::Stopped;
                container.exit_code = Some(1);
            }
        }
        store.record_task(&task, &[], &[]).await.unwrap();
        let html = look(&mut browser, &format!("/tasks/{}", ids[0])).await;
        assert!(html.contains("&#60;script&#62;alert(1)"), "{html}");
        assert!(html.contains("\\x1b[2J\\x9b6n\\u{202e}"), "{html}");
        for path in ["/", "/tasks", "/events"] {
            look(&mut browser, path).await;
        }
    }
    browser.api.set_engine(EngineState::Away {
        reason: NASTY.to_owned(),
    });
    let html = look(&mut browser, "/tasks").await;
    assert!(html.contains("&#60;script&#62;alert(1)"), "{html}");
}

#[tokio::test]
async fn whatever_stands_in_an_event_of_any_kind_is_text() {
    let mut browser = Browser::new().await;
    for kind in EventKind::all() {
        let event = NewEvent {
            at: TimestampMs::from_millis(1_000),
            kind,
            cluster: Some(NASTY.to_owned()),
            subject: NASTY.to_owned(),
            status: Some(NASTY.to_owned()),
            message: NASTY.to_owned(),
        };
        browser.api.store.record_event(event).await.unwrap();
        look(&mut browser, &format!("/events?kind={}", kind.as_str())).await;
    }
    for path in ["/", "/events"] {
        look(&mut browser, path).await;
    }
}

#[tokio::test]
async fn whatever_a_service_is_said_to_be_and_whoever_says_so_is_text() {
    let mut browser = Browser::new().await;
    browser.api.run_hello(1).await;
    let service = json!({
        "serviceName": "web", "taskDefinition": "hello", "desiredCount": 1,
        "tags": [{ "key": "team", "value": NASTY_LINE }],
    });
    let request = request("POST", "/v1/services")
        .header("content-type", "application/json")
        .header("neargate-client", NASTY_LINE)
        .body(Body::from(service.to_string()))
        .unwrap();
    let answer = browser.api.call(request).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let html = look(&mut browser, "/services/default/web").await;
    for part in [
        "by &#34;&#62;&#60;script&#62;alert(1)",
        "team=&#34;&#62;&#60;script&#62;",
    ] {
        assert!(html.contains(part), "no `{part}` in {html}");
    }
    for path in ["/", "/cost?by=tag&tag=team"] {
        look(&mut browser, path).await;
    }
    let path = "/services/default/web";
    for (act, field) in [
        ("scale", "count"),
        ("deploy", "definition"),
        ("stop-deployment", "deployment"),
    ] {
        let page = format!("{path}/{act}");
        check(&browser.fill_in(&page, &[(field, NASTY)]).await, act);
    }
    for field in ["serviceName", "taskDefinition", "desiredCount", "cluster"] {
        let answer = browser.fill_in("/create-service", &[(field, NASTY)]).await;
        check(&answer, field);
    }
}

#[tokio::test]
async fn whatever_an_address_asks_for_is_text_on_the_page_that_answers() {
    let mut browser = Browser::new().await;
    browser.api.run_hello(1).await;
    let nasty = super::super::format::segment(NASTY);
    for path in [
        format!("/{nasty}"),
        format!("/?nextToken={nasty}"),
        format!("/?{nasty}={nasty}"),
        format!("/services/{nasty}/{nasty}"),
        format!("/services/default/{nasty}/use?range={nasty}"),
        format!("/services/default/web/revisions?from={nasty}&to={nasty}"),
        format!("/tasks?cluster={nasty}"),
        format!("/tasks?serviceName={nasty}&family={nasty}&lastStatus={nasty}&nextToken={nasty}"),
        format!("/tasks/{nasty}"),
        format!("/tasks/{nasty}/stop"),
        format!("/task-definitions?familyPrefix={nasty}"),
        format!("/task-definitions/{nasty}"),
        format!("/task-definitions/hello/{nasty}"),
        format!("/task-definitions/hello/diff?from={nasty}&to={nasty}"),
        format!("/cost?by={nasty}"),
        format!("/cost?by=tag&tag={nasty}"),
        format!("/cost?cluster={nasty}&family={nasty}&range={nasty}"),
        format!("/cost/rightsizing?cluster={nasty}&family={nasty}"),
        format!("/events?text={nasty}"),
        format!("/events?subject={nasty}&kind={nasty}&cluster={nasty}&before={nasty}"),
        format!("/create-service?taskDefinition={nasty}"),
        format!("/sign-in?next={nasty}"),
    ] {
        let answer = browser.go(&path).await;
        if answer.status != 303 {
            check(&answer, &path);
        }
    }
}

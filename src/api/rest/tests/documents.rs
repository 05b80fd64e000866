//! What the server says about itself.

use std::collections::BTreeSet;

use axum::body::Body;
use serde_json::{Value, json};

use super::{Api, request};
use crate::engine::{EngineInfo, EngineState};

fn engine() -> EngineInfo {
    EngineInfo {
        kind: "sim",
        version: "1.2".to_owned(),
        api_version: "1.41".to_owned(),
        host: "here".to_owned(),
        boot_id: None,
        platform: "linux/amd64".to_owned(),
        runtimes: ["runc".to_owned()].into(),
        cpus: 2,
        memory_bytes: 1 << 30,
    }
}

#[tokio::test]
async fn readiness_follows_the_engine() {
    let api = Api::new().await;
    assert_eq!(api.get("/healthz").await.json(), json!({"status": "ok"}));
    let unknown = api.get("/readyz").await;
    assert_eq!(
        (unknown.status.as_u16(), &unknown.json()["engine"]["state"]),
        (503, &json!("unknown"))
    );

    api.set_engine(EngineState::Away {
        reason: "no such socket".to_owned(),
    });
    let away = api.get("/readyz").await;
    assert_eq!(away.status, 503);
    assert_eq!(
        away.json()["engine"],
        json!({"kind": "sim", "state": "away", "reason": "no such socket", "since": "1970-01-01T00:00:05.000Z"})
    );
    assert_eq!(away.json()["store"], "ok");

    api.set_engine(EngineState::Ok(engine()));
    let ready = api.get("/readyz").await;
    assert_eq!(
        (ready.status.as_u16(), &ready.json()["ready"]),
        (200, &json!(true))
    );
    assert_eq!(ready.json()["engine"]["apiVersion"], "1.41");
    assert_eq!(ready.json()["version"]["pid"], std::process::id());

    api.store.close().await;
    let closed = api.get("/readyz").await;
    assert_eq!(
        (closed.status.as_u16(), &closed.json()["ready"]),
        (503, &json!(false))
    );
    assert!(
        api.get("/v1/tasks")
            .await
            .problem()
            .starts_with("503 stopping: ")
    );
}

#[tokio::test]
async fn figures_can_be_read_and_do_not_grow_with_what_is_asked() {
    let api = Api::new().await;
    api.set_engine(EngineState::Ok(engine()));
    api.run_hello(3).await;
    for number in 0..50 {
        api.get(&format!("/v1/tasks/{number:08x}")).await;
        api.get(&format!("/nothing/{number}")).await;
        api.call(
            request(&format!("MADEUP{number}"), "/v1/tasks")
                .body(Body::empty())
                .unwrap(),
        )
        .await;
    }
    let answer = api.get("/metrics").await;
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(
            name.starts_with("neargate_") && value.parse::<f64>().is_ok(),
            "{line}"
        );
    }
    for line in [
        "neargate_engine_up 1",
        "neargate_queue_length 3",
        "neargate_tasks{state=\"pending\"} 3",
        "neargate_tasks{state=\"running\"} 0",
        "neargate_http_requests_in_flight 1",
        "neargate_http_requests_total{method=\"POST\",route=\"/v1/tasks\",status=\"201\"} 1",
        "neargate_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 50",
        "neargate_http_requests_total{method=\"other\",route=\"/v1/tasks\",status=\"405\"} 50",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.contains("neargate_build_info{version=\""), "{text}");
    assert!(
        text.contains("neargate_http_request_duration_seconds_bucket{le=\"0.002\",method="),
        "{text}"
    );
    let routes = text
        .lines()
        .filter(|line| line.starts_with("neargate_http_requests_total"))
        .count();
    assert!(routes < 10, "{text}");
}

/// Every `$ref` in `value`.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                match (name.as_str(), inner.as_str()) {
                    ("$ref", Some(target)) => {
                        found.insert(target.to_owned());
                    }
                    _ => references(inner, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_openapi_document_is_whole_and_true() {
    let api = Api::new().await;
    let document = api.get("/openapi.json").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for target in &found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{target} leads nowhere"
        );
    }
    let mut operation_ids = BTreeSet::new();
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        let mut variables: Vec<&str> = path
            .split('/')
            .filter(|part| part.starts_with('{'))
            .collect();
        for (method, operation) in item.as_object().unwrap() {
            assert!(
                operation_ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{operation}"
            );
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.') && !text.contains('\n')),
                "{method} {path}"
            );
            assert_eq!(
                operation["tags"].as_array().map(Vec::len),
                Some(1),
                "{method} {path}"
            );
            assert!(operation["responses"].as_object().is_some_and(|all| {
                all.keys()
                    .any(|code| code.starts_with('2') || code == "101")
            }));
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                assert!(
                    parameter["description"].is_string(),
                    "{method} {path} {name}"
                );
                if parameter["in"] == "path" {
                    variables.retain(|variable| *variable != format!("{{{name}}}"));
                }
            }
            let asked = path
                .replace("{cluster}", "c")
                .replace("{taskDefinition}", "d:1")
                .replace("{task}", "ffff");
            let request = request(&method.to_uppercase(), &asked)
                .body(Body::empty())
                .unwrap();
            let response = api.send(request).await;
            let refused = response
                .headers()
                .get("content-type")
                .is_some_and(|kind| kind == "application/problem+json");
            let documented = operation["responses"]
                .get(response.status().as_str())
                .is_some();
            assert!(
                documented,
                "{method} {path} answered {}, which is not documented",
                response.status()
            );
            assert!(
                response.status() != 405 && (response.status() != 404 || refused),
                "{method} {path}"
            );
        }
        assert_eq!(
            variables, [""; 0],
            "{path} has variables that nobody documents"
        );
    }
    for path in [
        "/v1/clusters",
        "/v1/tasks/{task}/logs",
        "/v1/events/stream",
        "/healthz",
        "/metrics",
        "/docs",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
}

#[tokio::test]
async fn the_page_shows_every_operation_and_loads_nothing() {
    let api = Api::new().await;
    let document = api.get("/openapi.json").await.json();
    let answer = api.get("/docs").await;
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert!(
        answer
            .header("content-security-policy")
            .starts_with("default-src 'none'; style-src 'sha256-")
    );
    let page = answer.text();
    for forbidden in [
        "<script",
        "javascript:",
        "http://",
        "https://",
        " on",
        "src=",
        "@import",
        "url(",
    ] {
        let found = page.match_indices(forbidden).find(|(at, _)| {
            // " on" is also a word; only an attribute such as " onclick=" is meant.
            forbidden != " on"
                || page[*at..]
                    .split(' ')
                    .nth(1)
                    .is_some_and(|word| word.starts_with("on") && word.contains('='))
        });
        assert_eq!(found, None, "{forbidden}");
    }
    let ids: BTreeSet<&str> = page
        .split(" id=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    for target in page
        .split("href=\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
    {
        assert!(ids.contains(target), "#{target} leads nowhere");
    }
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            assert!(
                ids.contains(operation["operationId"].as_str().unwrap()),
                "{operation}"
            );
        }
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(page.contains(&format!("<h3>{name}</h3>")), "{name}");
    }
}

//! The pages of task definitions.

use serde_json::json;

use super::task::form_token;
use super::*;

const JSON: &str = "application/json";
const EVIL: &str = "<script>alert('x')</script>\u{1b}[2J\u{202e}&\"";

impl Browser {
    /// Registers a revision of `web` with that image.
    async fn register(&self, image: &str) {
        let document = json!({
            "family": "web",
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [{
                "name": "web",
                "image": image,
                "command": ["serve", EVIL],
                "environment": [{ "name": "GREETING", "value": EVIL }],
                "portMappings": [{ "containerPort": 80 }],
            }],
        });
        let answer = self
            .api
            .post("/v1/task-definitions", JSON, document.to_string())
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

#[tokio::test]
async fn families_lead_to_revisions_and_these_to_the_document() {
    let mut browser = Browser::new().await;
    let html = browser.page("/task-definitions").await;
    assert!(
        html.contains("neargate register task-definitions/hello.yaml"),
        "an empty page teaches: {html}"
    );
    browser.register("web:1").await;
    browser.register("web:2").await;
    let html = browser.page("/task-definitions").await;
    assert!(
        html.contains("href=\"/task-definitions/web\"") && html.contains("0.25 vCPU, 512 MiB"),
        "{html}"
    );
    let html = browser.page("/task-definitions?familyPrefix=x").await;
    assert!(html.contains("No family begins like this"), "{html}");
    let html = browser.page("/task-definitions/web").await;
    assert!(
        html.contains("web:2") && html.contains("web:1") && html.contains("Compare"),
        "{html}"
    );
    for path in ["/task-definitions/web/2", "/task-definitions/web/latest"] {
        let html = browser.page(path).await;
        for part in [
            "Task definition web:2",
            "image: &#34;web:2&#34;",
            "data-copy=\"yaml\"",
            "80/tcp",
        ] {
            assert!(
                html.contains(part) || html.contains(&part.replace("&#34;", "")),
                "{part} is not in {html}"
            );
        }
    }
    for (path, status) in [
        ("/task-definitions/nothing", 404),
        ("/task-definitions/web/3", 404),
        ("/task-definitions/web/x", 404),
        ("/task-definitions/%3Cb%3E", 400),
    ] {
        let answer = browser.go(path).await;
        assert_eq!(answer.status, status, "{path}");
        check_page(&answer);
    }
}

#[tokio::test]
async fn the_yaml_that_is_handed_out_can_be_registered_again() {
    let mut browser = Browser::new().await;
    browser.register("web:1").await;
    let file = browser.go("/task-definitions/web/1/yaml").await;
    assert_eq!(
        file.header("content-type"),
        "application/yaml; charset=utf-8"
    );
    assert!(file.header("content-disposition").contains("web-1.yaml"));
    let answer = browser
        .api
        .post(
            "/v1/task-definitions",
            "application/yaml",
            file.text().to_owned(),
        )
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let html = browser.page("/task-definitions/web/diff?from=1&to=2").await;
    assert!(html.contains("They say the same."), "{html}");
}

#[tokio::test]
async fn a_diff_shows_what_is_gone_and_what_is_new() {
    let mut browser = Browser::new().await;
    browser.register("web:1").await;
    browser.register("web:2").await;
    let html = browser.page("/task-definitions/web/diff?from=1&to=").await;
    let line = |tag: &str, sign: &str, image: &str| {
        let part = html
            .split(&format!("<{tag}>{sign}"))
            .nth(1)
            .unwrap_or_default();
        part.split('<').next().unwrap().contains(image)
    };
    assert!(
        line("del", "- ", "web:1") && line("ins", "+ ", "web:2"),
        "{html}"
    );
    assert_eq!(
        html.matches("<del>").count() + html.matches("<ins>").count(),
        2,
        "{html}"
    );
}

/// The fields of the form on a page that says what will happen.
fn hidden(html: &str) -> Vec<(String, String)> {
    let inputs = html.split("<input type=\"hidden\" name=\"").skip(1);
    inputs
        .map(|input| {
            let mut parts = input.split('"');
            let name = parts.next().unwrap().to_owned();
            let value = parts
                .nth(1)
                .unwrap()
                .replace("&#60;", "<")
                .replace("&#62;", ">");
            (
                name,
                value
                    .replace("&#38;", "&")
                    .replace("&#34;", "\"")
                    .replace("&#39;", "'"),
            )
        })
        .collect()
}

#[tokio::test]
async fn running_says_first_what_will_happen_and_runs_once_however_often_it_is_sent() {
    let mut browser = Browser::new().await;
    browser.register("web:1").await;
    let path = "/task-definitions/web/1/run";
    let html = browser.page(path).await;
    let token = form_token(&html);
    let fields = [
        ("formToken", token.as_str()),
        ("cluster", "default"),
        ("count", "2"),
        ("cpu", "512"),
        ("memory", "1024"),
        ("tags", "team=<b>blue</b>\r\nstage=test"),
        ("command.web", "serve\r\n--all now"),
        ("environment.web", "MODE=<i>fast</i>\nPASSWORD=a=b"),
        ("enableExecuteCommand", "1"),
    ];
    let answer = browser.submit(path, Some(ORIGIN), &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    check_page(&answer);
    for part in [
        "<strong>2</strong> tasks of <strong>web:1</strong>",
        "reserve 1 vCPU and 2048 MiB",
        "serve --all now",
        "MODE, PASSWORD",
        "team=&#60;b&#62;blue",
        "people may run commands in it",
    ] {
        assert!(
            answer.text().contains(part),
            "{part} is not in {}",
            answer.text()
        );
    }
    let tasks = browser.api.get("/v1/tasks").await.json();
    assert_eq!(
        tasks["items"].as_array().unwrap().len(),
        0,
        "nothing runs yet"
    );

    let again = hidden(answer.text());
    let again: Vec<(&str, &str)> = again
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    for _ in 0..2 {
        let answer = browser.submit(path, Some(ORIGIN), &again).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert_eq!(
            answer.header("location"),
            "/tasks?cluster=default&family=web"
        );
    }
    let tasks = browser.api.get("/v1/tasks").await.json();
    let tasks = tasks["items"].as_array().unwrap();
    assert_eq!(tasks.len(), 2, "sent twice, run once: {tasks:?}");
    let task = &tasks[0];
    assert_eq!(
        (task["cpu"].as_str(), task["memory"].as_str()),
        (Some("512"), Some("1024"))
    );
    let overrides = &task["overrides"]["containerOverrides"][0];
    assert_eq!(overrides["command"], json!(["serve", "--all now"]));
    assert_eq!(
        overrides["environment"][1],
        json!({ "name": "PASSWORD", "value": "a=b" })
    );
    assert_eq!(task["tags"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_filled_in_wrongly_is_refused_in_words_and_a_forged_form_at_once() {
    let mut browser = Browser::new().await;
    browser.register("web:1").await;
    let path = "/task-definitions/web/1/run";
    let token = form_token(&browser.page(path).await);
    for (name, value, says) in [
        ("count", "many", "count is no number"),
        ("count", "1000", "count"),
        ("cpu", "300", "cpu"),
        ("environment.web", "geheim", "a line is not NAME=value"),
        ("cluster", "<b>", "cluster"),
    ] {
        let fields = [("formToken", token.as_str()), (name, value)];
        let answer = browser.submit(path, Some(ORIGIN), &fields).await;
        assert!(
            answer.status.is_client_error(),
            "{name}={value}: {}",
            answer.status
        );
        check_page(&answer);
        assert!(
            answer.text().contains(says),
            "{says} is not in {}",
            answer.text()
        );
        assert!(!answer.text().contains("geheim"), "{}", answer.text());
    }
    let forged = [("formToken", "made-up"), ("step", "run")];
    let answer = browser.submit(path, Some(ORIGIN), &forged).await;
    assert!(answer.status.is_client_error(), "{}", answer.status);
    let tasks = browser.api.get("/v1/tasks").await.json();
    assert_eq!(tasks["items"].as_array().unwrap().len(), 0);
}

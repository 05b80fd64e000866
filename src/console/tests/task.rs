//! The pages of tasks.

use serde_json::json;

use super::*;
use crate::api::testing::Logs;
use crate::domain::{
    ContainerStatus, DurationMs, EndEvidence, HealthStatus, LastStatus, NetworkBinding, Protocol,
    StopCode, Task, TaskId, TimestampMs, UsageChange, UsageInterval,
};
use crate::engine::EngineState;

const EVIL: &str = "<script>alert('x')</script>\u{1b}[2J\u{202e}&\"";

/// A definition with a dependency, a health check, ports, and secrets of every kind.
fn shop() -> serde_json::Value {
    json!({
        "family": "shop",
        "cpu": "256",
        "memory": "512",
        "networkMode": "bridge",
        "containerDefinitions": [
            {
                "name": "web",
                "image": "shop:1",
                "dependsOn": [{ "containerName": "db", "condition": "HEALTHY" }],
                "portMappings": [{ "containerPort": 80 }],
                "environment": [
                    { "name": "GREETING", "value": EVIL },
                    { "name": "DB_PASSWORD", "value": "geheim-1" },
                    { "name": "DB", "value": "postgres://me:geheim-2@db/app" },
                    { "name": "PLAIN", "value": "seen" },
                ],
                "secrets": [{ "name": "STRIPE", "valueFrom": "stripe-key" }],
            },
            {
                "name": "db",
                "image": "db:1",
                "essential": false,
                "healthCheck": { "command": ["CMD", "check"] },
            },
        ],
    })
}

impl Browser {
    /// A browser of a server whose engine has such logs.
    async fn with_logs(logs: Logs) -> Self {
        let setting = Setting {
            logs,
            pages: true,
            ..Setting::default()
        };
        Self {
            api: Api::with(setting).await,
            cookies: BTreeMap::new(),
            peer: None,
        }
    }

    /// Registers and runs `shop`; the task's ID.
    async fn run_shop(&self) -> String {
        let json = "application/json";
        let answer = self
            .api
            .post("/v1/task-definitions", json, shop().to_string())
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let order = json!({
            "taskDefinition": "shop",
            "startedBy": EVIL.replace(['\u{1b}', '\u{202e}'], ""),
            "tags": [{ "key": "stage", "value": "<b>\"blue\"</b>" }],
            "enableExecuteCommand": true,
        });
        let answer = self.api.post("/v1/tasks", json, order.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let id = answer.json()["tasks"][0]["taskId"]
            .as_str()
            .unwrap()
            .to_owned();
        // The same, an hour ago.
        let now = self.task(&id).await;
        let ago = TimestampMs::from_millis(now.created_at.as_millis() - 3_600_000);
        let id: TaskId = format!("abcdef{}", &id[6..]).parse().unwrap();
        let task = Task {
            started_by: now.started_by.clone(),
            tags: now.tags.clone(),
            ..Task::new(id, now.cluster.clone(), now.spec.clone(), ago)
        };
        self.api
            .store
            .create_tasks(std::slice::from_ref(&task), None)
            .await
            .unwrap();
        task.id.to_string()
    }

    async fn task(&self, id: &str) -> Task {
        self.api
            .store
            .task(&id.parse().unwrap())
            .await
            .unwrap()
            .unwrap()
    }

    /// Records the task after `change`, with its usage.
    async fn change(&self, id: &str, usage: &[UsageChange], change: impl FnOnce(&mut Task)) {
        let mut task = self.task(id).await;
        change(&mut task);
        self.api.store.record_task(&task, &[], usage).await.unwrap();
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a task's times may be missing")]
fn later(task: &Task, seconds: u32) -> Option<TimestampMs> {
    Some(task.created_at.plus(DurationMs::from_secs(seconds)))
}

/// What the task reserves from when its pull began.
fn opened(task: &Task) -> UsageInterval {
    UsageInterval {
        task_id: task.id.clone(),
        cluster: task.cluster.clone(),
        definition: task.spec.definition.clone(),
        cpu: task.spec.reserved_cpu(),
        memory: task.spec.reserved_memory(),
        opened_at: task.created_at,
        closed: None,
    }
}

/// The task has run for a minute, and a container has failed.
async fn run_and_fail(browser: &Browser, id: &str) {
    let opened = opened(&browser.task(id).await);
    browser
        .change(id, &[UsageChange::Open(opened)], |task| {
            task.pull_started_at = Some(task.created_at);
            task.pull_stopped_at = later(task, 2);
            task.started_at = later(task, 3);
            task.healthy_at = later(task, 10);
            task.last_status = LastStatus::Running;
            task.address = Some("10.1.2.3".to_owned());
            let (started, at) = (later(task, 3), later(task, 3));
            let web = task.containers.get_mut(&"web".parse().unwrap()).unwrap();
            web.last_status = ContainerStatus::Running;
            web.started_at = started;
            web.network_bindings = vec![NetworkBinding {
                bind_ip: "0.0.0.0".to_owned(),
                container_port: 80,
                host_port: 8_080,
                protocol: Protocol::Tcp,
            }];
            let db = task.containers.get_mut(&"db".parse().unwrap()).unwrap();
            db.last_status = ContainerStatus::Running;
            db.health = HealthStatus::Unhealthy;
            db.reason = Some(format!("health check failed: {EVIL}"));
            db.started_at = at;
        })
        .await;
    let at = later(&browser.task(id).await, 60).unwrap();
    let closed = UsageChange::Close {
        at,
        evidence: EndEvidence::Engine,
    };
    browser
        .change(id, &[closed], |task| {
            task.last_status = LastStatus::Stopped;
            task.planned_status = crate::domain::DesiredStatus::Stopped;
            task.stop_code = Some(StopCode::EssentialContainerExited);
            task.stopped_reason = Some(format!("Essential container in task exited {EVIL}"));
            task.stopping_at = later(task, 59);
            task.execution_stopped_at = Some(at);
            task.stopped_at = later(task, 61);
            for (name, code) in [("web", 137), ("db", 0)] {
                let one = task.containers.get_mut(&name.parse().unwrap()).unwrap();
                one.last_status = ContainerStatus::Stopped;
                one.exit_code = Some(code);
                one.finished_at = Some(at);
            }
        })
        .await;
}

#[tokio::test]
async fn a_tasks_page_tells_its_life_its_containers_its_usage_and_what_to_type() {
    let mut browser = Browser::with_logs(Logs::Two).await;
    let id = browser.run_shop().await;
    let html = browser.page(&format!("/tasks/{id}")).await;
    for part in [
        "PROVISIONING",
        "Stop this task…",
        "It does not run, so no command",
        "reserves nothing yet",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(
        html.contains("web waits for db (HEALTHY)"),
        "the dependency is drawn: {html}"
    );

    run_and_fail(&browser, &id).await;
    let html = browser.page(&format!("/tasks/{}", &id[..6])).await;
    for part in [
        "EssentialContainerExited",
        "a container that it cannot go on without has ended",
        "waited took 0 ms",
        "pulled took 2.0 s",
        "started took 1.0 s",
        "checked took 7.0 s",
        "ran took 49.0 s",
        "<th scope=\"row\">healthy</th>",
        "stopping took 1.0 s",
        "web took 57.0 s",
        "exit code 137: was killed (SIGKILL)",
        "exit code 0: ended well",
        "10.1.2.3",
        "href=\"http://127.0.0.1:8080/\"",
        "0.0.0.0:8080 → 80/tcp",
        "0.25 vCPU, 512 MiB",
        "15.000000 reserved",
        "1 min 00 s",
        "0.00020570",
        "&#60;b&#62;&#34;blue&#34;&#60;/b&#62;",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(!html.contains("Stop this task…"), "it has stopped: {html}");
    browser.change(&id, &[], |task| task.address = None).await;
    let html = browser.page(&format!("/tasks/{id}")).await;
    assert!(html.contains("<dt>Address</dt><dd>had none</dd>"), "{html}");
}

#[tokio::test]
async fn secrets_are_named_and_never_shown_and_no_name_runs() {
    let mut browser = Browser::with_logs(Logs::Evil).await;
    let id = browser.run_shop().await;
    run_and_fail(&browser, &id).await;
    for path in [
        format!("/tasks/{id}"),
        "/tasks".to_owned(),
        format!("/tasks/{id}/stop"),
    ] {
        // `page` checks that nothing in it can run or mislead.
        let html = browser.page(&path).await;
        assert!(!html.contains("geheim"), "{path}: {html}");
    }
    let html = browser.page(&format!("/tasks/{id}")).await;
    for name in [
        "DB_PASSWORD",
        "STRIPE",
        "secret stripe-key",
        "PLAIN",
        ">seen<",
    ] {
        assert!(html.contains(name), "{name} is not in {html}");
    }
    assert_eq!(html.matches("(not shown)").count(), 3, "{html}");
    assert!(
        html.contains("alert(&#39;x&#39;)") && html.contains("\\x1b[2J"),
        "{html}"
    );
}

#[tokio::test]
async fn the_last_lines_of_the_log_are_there_and_can_be_searched_and_taken_away() {
    let mut browser = Browser::with_logs(Logs::Evil).await;
    let id = browser.run_shop().await;
    let html = browser.page(&format!("/tasks/{id}?wrap=1")).await;
    assert!(html.contains("<div class=\"line\">"), "{html}");
    assert!(
        html.contains("&#60;script&#62;alert(1)&#60;/script&#62; red \\x1b[2J"),
        "{html}"
    );
    assert!(html.contains("class=\"log wraps\""), "{html}");
    assert!(
        html.contains(&format!("data-stream=\"/v1/tasks/{id}/logs\"")),
        "{html}"
    );

    let html = browser
        .page(&format!("/tasks/{id}?container=web&find=nowhere"))
        .await;
    assert!(html.contains("No line has that in it."), "{html}");
    assert!(
        html.contains(&format!(
            "/v1/tasks/{id}/logs?container=web&amp;follow=true"
        )),
        "{html}"
    );
    assert_eq!(
        browser
            .go(&format!("/tasks/{id}?container=nobody"))
            .await
            .status,
        404
    );

    let file = browser
        .go(&format!("/tasks/{id}/log.txt?container=db"))
        .await;
    assert_eq!(file.header("content-type"), "text/plain; charset=utf-8");
    assert!(
        file.header("content-disposition")
            .contains(&format!("{id}.log"))
    );
    assert!(file.text().contains(" db "), "{}", file.text());
    assert!(!file.text().contains(" web "), "{}", file.text());
}

#[tokio::test]
async fn an_engine_that_is_away_takes_the_log_and_not_the_page() {
    let mut browser = Browser::new().await;
    let id = browser.run_shop().await;
    browser.api.set_engine(EngineState::Away {
        reason: "gone".to_owned(),
    });
    let html = browser.page(&format!("/tasks/{id}")).await;
    assert!(
        html.contains("the engine does not hand out the log just now"),
        "{html}"
    );
}

#[tokio::test]
async fn a_shell_is_told_of_where_it_is_allowed() {
    let mut browser = Browser::with_logs(Logs::Two).await;
    let id = browser.run_shop().await;
    browser.api.set_running(&id).await;
    let html = browser.page(&format!("/tasks/{id}")).await;
    assert!(
        html.contains(&format!("neargate exec -it {id} -c web -- sh")),
        "{html}"
    );
    // The script shows it; without one it would do nothing.
    assert!(
        html.contains(&format!(
            "<div id=\"terminal\" data-path=\"/v1/tasks/{id}/exec\" hidden>"
        )),
        "{html}"
    );
    assert!(html.contains("/assets/terminal."), "{html}");
    let hello = browser.api.run_hello(1).await;
    let html = browser.page(&format!("/tasks/{}", hello[0])).await;
    assert!(
        html.contains("It was not run with enableExecuteCommand"),
        "{html}"
    );
    assert!(
        !html.contains("id=\"terminal\"") && !html.contains("/assets/terminal."),
        "{html}"
    );
}

/// The code that a page's forms carry.
pub(super) fn form_token(html: &str) -> String {
    let start = html.find("name=\"formToken\" value=\"").unwrap() + 24;
    html[start - 1..]
        .trim_start_matches('"')
        .split('"')
        .next()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_task_is_stopped_after_a_page_that_says_what_will_happen_and_by_that_page_alone() {
    let mut browser = Browser::with_logs(Logs::Two).await;
    let id = browser.run_shop().await;
    let path = format!("/tasks/{id}/stop");
    let html = browser.page(&path).await;
    for part in [
        "SIGTERM",
        "SIGKILL",
        "web: has 30.0 s",
        "nothing is started in its place",
    ] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(
        browser.task(&id).await.stop_request.is_none(),
        "looking changes nothing"
    );
    let token = form_token(&html);
    for (origin, token) in [
        (Some(ORIGIN), "made-up"),
        (None, token.as_str()),
        (Some("http://evil.example"), token.as_str()),
    ] {
        let answer = browser.submit(&path, origin, &[("formToken", token)]).await;
        assert!(
            answer.status.is_client_error(),
            "{origin:?}: {}",
            answer.status
        );
    }
    assert!(browser.task(&id).await.stop_request.is_none());

    let fields = [("formToken", token.as_str()), ("reason", "<i>enough</i>")];
    let answer = browser.submit(&path, Some(ORIGIN), &fields).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, format!("/tasks/{id}").as_str())
    );
    let request = browser.task(&id).await.stop_request.unwrap();
    assert_eq!(request.reason.as_deref(), Some("<i>enough</i>"));
    let html = browser.page(&path).await;
    assert!(html.contains("there is nothing to do"), "{html}");
}

#[tokio::test]
async fn an_empty_list_teaches_and_a_filter_without_tasks_leads_back() {
    let mut browser = Browser::new().await;
    let html = browser.page("/tasks").await;
    assert!(
        html.contains("neargate run hello") && html.contains("href=\"/task-definitions\""),
        "{html}"
    );
    let html = browser
        .page("/tasks?cluster=&lastStatus=RUNNING&serviceName=&family=")
        .await;
    assert!(
        html.contains("Show all tasks") && html.contains("<option selected>RUNNING"),
        "{html}"
    );
    for wrong in [
        "/tasks?lastStatus=%3Cb%3E",
        "/tasks?cluster=%20x%20y",
        "/tasks?nextToken=%00",
        "/tasks?cluster=a&cluster=b",
    ] {
        let answer = browser.go(wrong).await;
        assert_eq!(answer.status, 400, "{wrong}");
        check_page(&answer);
    }
}

#[tokio::test]
async fn thousands_of_tasks_are_listed_by_page_and_filter() {
    const ALL: u128 = 2_000;
    let mut browser = Browser::new().await;
    let id = browser.run_shop().await;
    let first = browser.task(&id).await;
    let task = |number: u128| {
        let id: TaskId = format!("{number:032x}").parse().unwrap();
        let mut task = Task::new(
            id,
            first.cluster.clone(),
            first.spec.clone(),
            first.created_at,
        );
        task.stopped_reason = Some(format!("<b>{}</b>", "because ".repeat(100)));
        if number.is_multiple_of(20) {
            task.group = "service:web".to_owned();
        }
        task
    };
    for from in (1..=ALL).step_by(1_000) {
        let tasks: Vec<Task> = (from..from + 1_000).map(task).collect();
        browser.api.store.create_tasks(&tasks, None).await.unwrap();
    }
    // `page` checks that it has no more than 200,000 bytes.
    let html = browser.page("/tasks").await;
    assert_eq!(html.matches("<tr data-key=").count(), 50);
    assert!(html.contains(&format!("{ALL:032x}")), "newest first");
    let next = |html: &str| {
        let link = html.split("rel=\"next\" href=\"").nth(1)?;
        Some(
            link.split('"')
                .next()
                .unwrap()
                .replace("&amp;", "&")
                .replace("&#38;", "&"),
        )
    };
    let second = browser.page(&next(&html).unwrap()).await;
    assert!(
        second.contains(&format!("{:032x}", ALL - 50))
            && !second.contains(&format!("{:032x}", ALL - 49))
    );

    let mut path = Some("/tasks?serviceName=web&cluster=default".to_owned());
    let mut found = 0;
    while let Some(at) = path {
        let html = browser.page(&at).await;
        found += html.matches("<tr data-key=").count();
        path = next(&html);
    }
    assert_eq!(found, 100, "the filter goes along from page to page");
}

//! A page that has nothing to show says what fills it, and has the button that does.

use super::*;

/// The button that leads to `path`.
fn button(path: &str) -> String {
    format!("<a class=\"button\" href=\"{path}\">")
}

#[tokio::test]
async fn every_empty_page_has_the_command_and_the_button_that_fill_it() {
    let mut browser = Browser::new().await;
    for (path, command, leads_to) in [
        ("/", "neargate service create", "/create-service"),
        ("/", "neargate run", "/task-definitions"),
        ("/create-service", "neargate register", "/register"),
        ("/task-definitions", "neargate register", "/register"),
        ("/tasks", "neargate run", "/task-definitions"),
        ("/cost", "neargate run", "/task-definitions"),
        ("/cost/rightsizing", "neargate run", "/task-definitions"),
    ] {
        let html = browser.page(path).await;
        assert!(html.contains(command), "{path}: no `{command}` in {html}");
        assert!(
            html.contains(&button(leads_to)),
            "{path}: no button to {leads_to} in {html}"
        );
        browser.page(leads_to).await;
    }
}

#[tokio::test]
async fn what_is_not_found_by_a_filter_is_said_with_the_way_back() {
    let mut browser = Browser::new().await;
    browser.api.run_hello(1).await;
    for (path, back) in [
        ("/events?text=nothing-like-it", "/events"),
        ("/tasks?family=other", "/tasks"),
        ("/task-definitions?familyPrefix=x", "/task-definitions"),
    ] {
        let html = browser.page(path).await;
        let link = format!("<a href=\"{back}\">Show all");
        assert!(html.contains(&link), "{path}: no `{link}` in {html}");
    }
}

#[tokio::test]
async fn from_nothing_to_a_service_by_pages_alone() {
    let mut browser = Browser::new().await;
    let html = browser.page("/register").await;
    // What stands there is the sample, and is sent as browsers do.
    let sample = include_str!("../../../task-definitions/hello.yaml");
    assert!(html.contains("family: hello"), "{html}");
    let sent = sample.replace('\n', "\r\n");
    let answer = browser.fill_in("/register", &[("document", &sent)]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "/task-definitions/hello/1")
    );

    let html = browser.page("/create-service?taskDefinition=hello:1").await;
    for part in ["value=\"hello:1\"", "<option value=\"hello\">"] {
        assert!(html.contains(part), "no `{part}` in {html}");
    }
    let fields = [
        ("cluster", "default"),
        ("serviceName", " web "),
        ("taskDefinition", "hello"),
        ("desiredCount", "3"),
        ("rollback", "1"),
    ];
    let answer = browser.fill_in("/create-service", &fields).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "/services/default/web"),
        "{}",
        answer.text()
    );
    let service = browser.api.get("/v1/services/web").await.json();
    assert_eq!(service["desiredCount"], 3, "{service:#}");
    assert_eq!(service["taskDefinition"], "hello:1", "{service:#}");
    let breaker = &service["deploymentConfiguration"]["deploymentCircuitBreaker"];
    assert_eq!(breaker["rollback"], true, "{service:#}");
    let by = &service["deployments"][0]["createdBy"]["name"];
    assert_eq!(by, "console", "{service:#}");
    assert!(browser.page("/").await.contains("/services/default/web"));
}

#[tokio::test]
async fn what_is_filled_in_wrongly_makes_nothing_and_is_said() {
    let mut browser = Browser::new().await;
    let answer = browser
        .fill_in("/register", &[("document", "family: [")])
        .await;
    assert_eq!(answer.status, 400);
    check_page(&answer);
    let without = "family: web\ncontainerDefinitions: []";
    let answer = browser.fill_in("/register", &[("document", without)]).await;
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("containerDefinitions"),
        "{}",
        answer.text()
    );

    browser.api.run_hello(1).await;
    let nasty = "\"><script>alert(1)</script>";
    let path = format!(
        "/create-service?taskDefinition={}",
        super::super::format::segment(nasty)
    );
    assert!(
        browser
            .page(&path)
            .await
            .contains("&#34;&#62;&#60;script&#62;")
    );
    let filled = |name: &'static str, definition: &'static str, count: &'static str| {
        [
            ("cluster", "default"),
            ("serviceName", name),
            ("taskDefinition", definition),
            ("desiredCount", count),
        ]
    };
    for (fields, status) in [
        (filled("no name", "hello", "1"), 400),
        (filled("web", "nothing", "1"), 404),
        (filled("web", "hello", "many"), 400),
        (filled("web", "hello", "5001"), 400),
    ] {
        let answer = browser.fill_in("/create-service", &fields).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{fields:?}: {}",
            answer.text()
        );
        check_page(&answer);
    }
    let services = browser.api.get("/v1/services").await.json();
    assert_eq!(
        services["items"].as_array().unwrap().len(),
        0,
        "{services:#}"
    );
}

//! A service's page, and what one does with a service from there.

use super::*;

const PATH: &str = "/services/default/web";

/// A browser of a server that has the service `web` of two tasks of `hello`.
async fn with_service() -> Browser {
    let browser = Browser::new().await;
    browser.api.run_hello(1).await;
    let body = "serviceName: web\ntaskDefinition: hello\ndesiredCount: 2";
    let answer = browser
        .api
        .post("/v1/services", "application/yaml", body)
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    browser
}

/// Opens the page that asks for `act`, and sends its form with `fields`.
async fn act(browser: &mut Browser, act: &str, fields: &[(&str, &str)]) -> Answer {
    browser.fill_in(&format!("{PATH}/{act}"), fields).await
}

async fn desired(browser: &Browser) -> serde_json::Value {
    browser.api.get("/v1/services/web").await.json()
}

#[tokio::test]
async fn the_page_of_a_service_shows_its_deployment_and_its_history() {
    let mut browser = with_service().await;
    let html = browser.page(PATH).await;
    for words in [
        "<h1>Service web</h1>",
        "hello:1 (new)",
        "0 healthy, 0 running and not healthy yet",
        "2 healthy tasks are kept at least, and there are 4 tasks at most",
        "IN_PROGRESS",
        "(service web) was created",
        "/services/default/web/scale",
        "by somebody who did not say",
    ] {
        assert!(html.contains(words), "no `{words}` in {html}");
    }
    let overview = browser.page("/").await;
    assert!(
        overview.contains("href=\"/services/default/web\""),
        "{overview}"
    );
}

#[tokio::test]
async fn a_service_is_scaled_deployed_stopped_and_deleted_from_its_page_without_a_script() {
    let mut browser = with_service().await;
    let page = browser.page(&format!("{PATH}/scale")).await;
    assert!(
        page.contains("What will happen") && page.contains("value=\"2\""),
        "{page}"
    );

    let answer = act(&mut browser, "scale", &[("count", "5")]).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(
        answer.header("location"),
        "/services/default/web?done=scale"
    );
    assert_eq!(desired(&browser).await["desiredCount"], 5);
    let html = browser.page("/services/default/web?done=scale").await;
    assert!(html.contains("It is being scaled."), "{html}");

    let before = desired(&browser).await["deployments"][0]["id"].clone();
    assert_eq!(
        act(&mut browser, "deploy", &[("definition", "")])
            .await
            .status,
        303
    );
    let primary = desired(&browser).await["deployments"][0].clone();
    assert_ne!(primary["id"], before);
    assert_eq!(primary["createdBy"]["name"], "console");

    let id = primary["id"].as_str().unwrap().to_owned();
    assert_eq!(
        act(&mut browser, "stop-deployment", &[("deployment", &id)])
            .await
            .status,
        303
    );
    let primary = desired(&browser).await["deployments"][0].clone();
    assert_eq!(primary["rolloutState"], "FAILED");
    let overview = browser.page("/").await;
    assert!(overview.contains("<h2>Failing</h2>"), "{overview}");

    assert_eq!(act(&mut browser, "stop", &[]).await.status, 303);
    assert_eq!(desired(&browser).await["desiredCount"], 0);
    assert_eq!(act(&mut browser, "delete", &[]).await.status, 303);
    assert_eq!(desired(&browser).await["status"], "DRAINING");
    let html = browser.page(PATH).await;
    assert!(
        !html.contains("/services/default/web/scale"),
        "nothing can be done with it any more: {html}"
    );
    assert_eq!(browser.go(&format!("{PATH}/scale")).await.status, 409);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_on_a_page() {
    let mut browser = with_service().await;
    for (word, fields, status, words) in [
        ("scale", [("count", "many")], 400, "from 0 to"),
        ("scale", [("count", "4294967295")], 400, "What to do:"),
        ("deploy", [("definition", "<b>:x")], 400, "family:revision"),
        (
            "deploy",
            [("definition", "nothing:7")],
            404,
            "neargate definitions",
        ),
        ("roll-back", [("count", "")], 409, "no earlier revision"),
        (
            "stop-deployment",
            [("deployment", "ecs-svc/1")],
            409,
            "no deployment in progress",
        ),
    ] {
        let answer = act(&mut browser, word, &fields).await;
        assert_eq!(
            answer.status,
            status,
            "{word} {fields:?}: {}",
            answer.text()
        );
        check_page(&answer);
        assert!(answer.text().contains(words), "{word}: {}", answer.text());
    }
    assert_eq!(
        desired(&browser).await["desiredCount"],
        2,
        "nothing has changed"
    );
}

#[tokio::test]
async fn no_act_is_done_for_another_site_or_without_the_code_of_a_form() {
    let mut browser = with_service().await;
    let html = browser.page(&format!("{PATH}/scale")).await;
    let (_, rest) = html.split_once("name=\"formToken\" value=\"").unwrap();
    let code = rest.split('"').next().unwrap().to_owned();
    for word in [
        "scale",
        "deploy",
        "roll-back",
        "stop-deployment",
        "stop",
        "delete",
    ] {
        let path = format!("{PATH}/{word}");
        let right = [("formToken", code.as_str()), ("count", "9")];
        for (origin, fields) in [
            (Some("http://evil.example"), &right[..]),
            (Some("null"), &right[..]),
            (None, &right[..]),
            (Some(ORIGIN), &right[1..]),
        ] {
            let answer = browser.submit(&path, origin, fields).await;
            assert_eq!(answer.status, 403, "{word} {origin:?}");
        }
    }
    let service = desired(&browser).await;
    assert_eq!(
        (&service["desiredCount"], &service["status"]),
        (&2.into(), &"ACTIVE".into())
    );
}

#[tokio::test]
async fn two_revisions_are_compared_field_by_field() {
    let mut browser = with_service().await;
    let yaml = "family: hello\ncontainerDefinitions:\n- name: hello\n  image: other:2\n  memory: 64\n  command: [\"<script>\"]";
    let answer = browser
        .api
        .post("/v1/task-definitions", "application/yaml", yaml)
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(
        act(&mut browser, "deploy", &[("definition", "hello")])
            .await
            .status,
        303
    );
    let html = browser.page(PATH).await;
    let (_, rest) = html.split_once("/services/default/web/revisions?").unwrap();
    let query = rest.split('"').next().unwrap().replace("&#38;", "&");
    let html = browser.page(&format!("{PATH}/revisions?{query}")).await;
    assert!(html.contains("<code>taskDefinition</code>"), "{html}");
    assert!(
        html.contains("- <code>hello:1</code>") && html.contains("+ <code>hello:2</code>"),
        "{html}"
    );
    assert!(html.contains("&#60;script&#62;"), "{html}");
    let answer = browser.go(&format!("{PATH}/revisions?from=1&to=2")).await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_service_that_there_is_not_is_a_page_that_leads_on() {
    let mut browser = with_service().await;
    for path in [
        "/services/default/none",
        "/services/%3Cb%3E/web",
        "/services/default/web/fly",
    ] {
        let answer = browser.go(path).await;
        assert_eq!(answer.status, 404, "{path}");
        check_page(&answer);
        assert!(
            answer.text().contains("What to do:"),
            "{path}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn many_services_come_page_by_page_and_no_page_is_large() {
    let mut browser = with_service().await;
    let long = "x".repeat(240);
    for number in 0..60 {
        let body = format!("serviceName: {long}-{number}\ntaskDefinition: hello\ndesiredCount: 1");
        let answer = browser
            .api
            .post("/v1/services", "application/yaml", body)
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    // `page` asserts that each is below 200 KB.
    let html = browser.page("/").await;
    assert_eq!(html.matches("<tr data-key=\"default/").count(), 50);
    let (_, rest) = html.split_once("<a rel=\"next\" href=\"").unwrap();
    let next = rest.split('"').next().unwrap().replace("&#38;", "&");
    let html = browser.page(&next).await;
    assert_eq!(html.matches("<tr data-key=\"default/").count(), 11);
    assert!(html.contains("First page"), "{html}");
    browser.page(&format!("/services/default/{long}-7")).await;
}

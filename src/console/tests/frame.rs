//! What all pages have in common.

use super::*;
use crate::engine::EngineState;

#[tokio::test]
async fn a_browser_gets_the_overview_where_the_server_is_and_programs_get_the_api_as_ever() {
    let mut browser = Browser::new().await;
    let html = browser.page("/").await;
    assert!(
        html.contains("<title>Overview · Neargate</title>"),
        "{html}"
    );
    assert_eq!(browser.api.get("/v1/clusters").await.status, 200);
    let ecs = request("POST", "/")
        .header(
            "x-amz-target",
            "AmazonEC2ContainerServiceV20141113.ListClusters",
        )
        .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
        .body(Body::from("{}"))
        .unwrap();
    let answer = browser.api.call(ecs).await;
    assert!(answer.json()["clusterArns"].is_array(), "{answer:?}");
}

#[tokio::test]
async fn files_of_pages_are_kept_by_browsers_under_the_name_of_what_is_in_them() {
    let mut browser = Browser::new().await;
    let html = browser.page("/").await;
    for name in ["console", "live"] {
        let start = html.find(&format!("/assets/{name}.")).unwrap();
        let path: String = html[start..].chars().take_while(|c| *c != '"').collect();
        let file = browser.go(&path).await;
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(
            file.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert!(!file.text().is_empty());
    }
    assert_eq!(browser.go("/assets/live.000000000000.js").await.status, 404);
}

#[tokio::test]
async fn an_engine_that_is_away_is_a_banner_with_the_reason_on_every_page() {
    let mut browser = Browser::new().await;
    browser.api.set_engine(EngineState::Away {
        reason: "no <socket> at /run/x".to_owned(),
    });
    for path in every_page(&mut browser).await {
        let answer = browser.go(&path).await;
        let html = answer.text();
        assert!(
            html.contains("The container engine is away"),
            "{path}: {html}"
        );
        assert!(
            html.contains("no &#60;socket&#62; at /run/x"),
            "{path}: {html}"
        );
    }
    // So does a page that is not there.
    let html = browser.go("/nothing-here").await.text().to_owned();
    assert!(html.contains("The container engine is away"), "{html}");
}

#[tokio::test]
async fn a_browser_reads_a_refusal_as_a_page_that_says_what_to_do() {
    let mut browser = Browser::new().await;
    let answer = browser.go("/taskz?x=%3Cb%3E").await;
    assert_eq!(answer.status, 404);
    check_page(&answer);
    assert!(
        answer.text().contains("nothing answers at /taskz"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("What to do:"), "{}", answer.text());
    // Programs read problems as ever.
    let answer = browser.api.get("/taskz").await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn pages_are_answered_by_the_servers_own_names_alone() {
    let mut browser = Browser::new().await;
    let request = axum::http::Request::get("/")
        .header(header::HOST, "evil.example")
        .header(header::ACCEPT, ACCEPT);
    let answer = browser.send(request, Body::empty()).await;
    assert_eq!(answer.status, 403);
    check_page(&answer);
}

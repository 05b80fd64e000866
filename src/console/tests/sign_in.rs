//! Signing in, and forms that only this server's pages can send.

use super::*;

const TOKEN: &str = "correct-horse-battery";

/// The hidden code of the first form of a page.
fn form_token(html: &str) -> String {
    let (_, rest) = html.split_once("name=\"formToken\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

async fn sign_in(browser: &mut Browser, token: &str) -> Answer {
    let code = form_token(&browser.page("/sign-in").await);
    let fields = [
        ("formToken", code.as_str()),
        ("token", token),
        ("next", "/?x=1"),
    ];
    browser.submit("/sign-in", Some(ORIGIN), &fields).await
}

#[tokio::test]
async fn without_a_token_nobody_signs_in() {
    let mut browser = Browser::new().await;
    let answer = browser.go("/sign-in").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "/")
    );
    assert!(!browser.page("/").await.contains("Sign out"));
}

#[tokio::test]
async fn with_a_token_one_signs_in_and_out() {
    let mut browser = Browser::with(Some(TOKEN)).await;
    let answer = browser.go("/").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "/sign-in?next=%2F")
    );
    let wrong = sign_in(&mut browser, "wrong-horse-battery").await;
    assert_eq!(wrong.status, 401);
    check_page(&wrong);
    assert!(wrong.text().contains("This is not the token"));
    assert_eq!(browser.go("/").await.status, 303);

    let right = sign_in(&mut browser, TOKEN).await;
    assert_eq!(
        (right.status.as_u16(), right.header("location")),
        (303, "/?x=1")
    );
    let html = browser.page("/").await;
    assert!(html.contains("Sign out"), "{html}");
    // Scripts of pages read from the API, and change nothing there.
    assert_eq!(browser.go("/v1/clusters").await.status, 200);
    let change = request("POST", "/v1/clusters")
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/json");
    let refused = browser
        .send(change, Body::from(r#"{"clusterName":"blue"}"#))
        .await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    let ecs = request("POST", "/")
        .header(
            "x-amz-target",
            "AmazonEC2ContainerServiceV20141113.CreateCluster",
        )
        .header(header::CONTENT_TYPE, "application/x-amz-json-1.1");
    let refused = browser.send(ecs, Body::from("{}")).await;
    assert_eq!(refused.status, 401, "{}", refused.text());

    let code = form_token(&html);
    let fields = [("formToken", code.as_str())];
    let kept = browser.cookies.clone();
    let out = browser.submit("/sign-out", Some(ORIGIN), &fields).await;
    assert_eq!(
        (out.status.as_u16(), out.header("location")),
        (303, "/sign-in")
    );
    assert_eq!(browser.go("/").await.status, 303);
    browser.cookies = kept;
    assert_eq!(
        browser.go("/").await.status,
        303,
        "the cookie is worth nothing any more"
    );
}

#[tokio::test]
async fn whoever_has_not_signed_in_learns_nothing() {
    let mut browser = Browser::with(Some(TOKEN)).await;
    browser.api.set_engine(crate::engine::EngineState::Away {
        reason: "no socket".to_owned(),
    });
    assert!(!browser.page("/sign-in").await.contains("no socket"));
    for path in [
        "/v1/clusters",
        "/metrics",
        "/openapi.json",
        "/v1/events/stream",
    ] {
        let answer = browser.api.get(path).await;
        assert_eq!(answer.status, 401, "{path}");
    }
}

#[tokio::test]
async fn guessing_is_not_worth_beginning() {
    let mut browser = Browser::with(Some(TOKEN)).await;
    let at = |last: u8| Some(Peer([192, 0, 2, last].into()));
    browser.peer = at(1);
    for _ in 0..10 {
        assert_eq!(
            sign_in(&mut browser, "a-guess-that-is-long").await.status,
            401
        );
    }
    let refused = sign_in(&mut browser, TOKEN).await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (429, "60")
    );
    // Whoever is somewhere else does not notice.
    browser.peer = at(2);
    assert_eq!(sign_in(&mut browser, TOKEN).await.status, 303);
}

#[tokio::test]
async fn a_form_needs_the_code_of_this_browser_and_an_origin_of_this_server() {
    let mut browser = Browser::with(Some(TOKEN)).await;
    let code = form_token(&browser.page("/sign-in").await);
    let right = [("formToken", code.as_str()), ("token", TOKEN)];
    let without = [("token", TOKEN)];
    let wrong = [("formToken", "0"), ("token", TOKEN)];
    for (origin, fields) in [
        (None, &right[..]),
        (Some("null"), &right[..]),
        (Some("http://evil.example"), &right[..]),
        (Some("http://127.0.0.1:1"), &right[..]),
        (Some(ORIGIN), &without[..]),
        (Some(ORIGIN), &wrong[..]),
    ] {
        let answer = browser.submit("/sign-in", origin, fields).await;
        assert_eq!(answer.status, 403, "{origin:?} {fields:?}");
        check_page(&answer);
    }
    // Another browser's code is worth nothing here.
    browser.cookies.clear();
    browser.page("/sign-in").await;
    let answer = browser.submit("/sign-in", Some(ORIGIN), &right).await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("load the page again"));
}

//! Who is let in, how many, and for how long.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tokio::sync::Notify;

use super::super::{Rest, openapi, surrounded};
use super::{Api, Setting, YAML, request, soon};
use crate::api::{ApiLimits, ApiState};

fn named(host: &str) -> Request<Body> {
    Request::get("/v1/clusters")
        .header("host", host)
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn the_server_answers_only_to_its_own_names() {
    let api = Api::new().await;
    for own in [
        "localhost:6327",
        "127.0.0.1",
        "[::1]:6327",
        "neargate.example",
    ] {
        assert_eq!(api.call(named(own)).await.status, 200, "{own}");
    }
    assert_eq!(
        api.call(named("evil.example:6327")).await.problem(),
        "403 forbidden-host: \"evil.example:6327\" is not a name of this server\n\
         hint: call it by localhost or its address, or add the name to allowed_hosts in its configuration"
    );
    let nameless = Request::get("/healthz").body(Body::empty()).unwrap();
    assert!(
        api.call(nameless)
            .await
            .problem()
            .starts_with("403 forbidden-host: the request does not name one host")
    );
    let two = Request::get("/healthz")
        .header("host", "localhost")
        .header("host", "evil.example");
    assert_eq!(api.call(two.body(Body::empty()).unwrap()).await.status, 403);
    let absolute = Request::get("http://evil.example/v1/clusters").header("host", "localhost");
    assert_eq!(
        api.call(absolute.body(Body::empty()).unwrap()).await.status,
        403
    );
    let unknown_path = Request::get("/nothing").header("host", "evil.example");
    assert_eq!(
        api.call(unknown_path.body(Body::empty()).unwrap())
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn other_web_sites_are_refused() {
    let api = Api::new().await;
    let from = |method: &str, name: &str, value: &str| {
        let request = request(method, "/v1/clusters")
            .header(name, value)
            .header("content-type", YAML);
        let body = if method == "POST" {
            Body::from("clusterName: a")
        } else {
            Body::empty()
        };
        api.call(request.body(body).unwrap())
    };
    for own in ["http://127.0.0.1:6327", "https://127.0.0.1:6327"] {
        assert_eq!(from("POST", "origin", own).await.status, 201, "{own}");
    }
    for foreign in [
        "https://evil.example",
        "http://127.0.0.1:3000",
        "http://127.0.0.1",
        "null",
        "file://",
        "",
    ] {
        for method in ["GET", "POST"] {
            let problem = from(method, "origin", foreign).await.problem();
            assert!(
                problem.starts_with("403 forbidden-origin: the request comes from the web site"),
                "{problem}"
            );
        }
    }
    for (site, read, change) in [
        ("same-origin", 200, 201),
        ("none", 200, 201),
        ("same-site", 200, 403),
        ("cross-site", 200, 403),
    ] {
        assert_eq!(
            from("GET", "sec-fetch-site", site).await.status,
            read,
            "{site}"
        );
        assert_eq!(
            from("POST", "sec-fetch-site", site).await.status,
            change,
            "{site}"
        );
    }
}

#[tokio::test]
async fn with_a_token_everything_but_the_life_sign_needs_it() {
    let api = Api::with(Setting {
        token: Some("correct-horse-battery"),
        ..Setting::default()
    })
    .await;
    assert_eq!(api.get("/healthz").await.status, 200);
    for path in [
        "/",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/v1/tasks",
        "/v1/events/stream",
        "/nothing",
    ] {
        let answer = api.get(path).await;
        assert_eq!(
            answer.problem(),
            "401 unauthorized: the request carries no API token\n\
             hint: send Authorization: Bearer TOKEN with the token that the server was started with",
            "{path}"
        );
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"neargate\""
        );
    }
    let with = |value: &str| {
        api.call(
            request("GET", "/v1/tasks")
                .header("authorization", value)
                .body(Body::empty())
                .unwrap(),
        )
    };
    assert_eq!(with("Bearer correct-horse-battery").await.status, 200);
    assert_eq!(with("bearer  correct-horse-battery").await.status, 200);
    for wrong in [
        "Bearer correct-horse-batter",
        "Bearer",
        "Basic correct-horse-battery",
        "correct-horse-battery",
    ] {
        let answer = with(wrong).await;
        assert!(
            answer
                .problem()
                .starts_with("401 unauthorized: the API token is not valid"),
            "{wrong}"
        );
        assert!(answer.header("www-authenticate").contains("invalid_token"));
    }
}

#[tokio::test]
async fn every_answer_has_its_headers() {
    let api = Api::new().await;
    for path in ["/healthz", "/v1/tasks", "/nothing", "/docs"] {
        let answer = api.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-request-id").len(), 32, "{path}");
    }
    let redirect = api.get("/").await;
    assert_eq!(
        (redirect.status.as_u16(), redirect.header("location")),
        (307, "/docs")
    );
}

/// The API's surroundings around routes that misbehave.
fn around(limits: ApiLimits, router: Router<Arc<Rest>>, api: &Api) -> Router {
    let state = ApiState {
        limits,
        ..api.state.clone()
    };
    surrounded(router, Rest::new(state, &openapi::frame(), None))
}

async fn broken() {
    panic!("a secret");
}

#[tokio::test]
async fn a_handler_that_panics_answers_and_the_caller_learns_nothing_of_it() {
    let mut api = Api::new().await;
    api.router = around(
        ApiLimits::default(),
        Router::new().route("/broken", get(broken)),
        &api,
    );
    let answer = api.get("/broken").await;
    assert_eq!(
        answer.problem(),
        "500 internal: the server could not carry out the request\nhint: the server's log has more under this instance"
    );
    assert!(!answer.text().contains("secret"));
    assert_eq!(
        answer.json()["instance"],
        format!("urn:neargate:request:{}", answer.header("x-request-id"))
    );
}

#[tokio::test]
async fn too_many_requests_and_those_that_take_too_long_are_given_up_on() {
    let mut api = Api::new().await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        get(move || async move {
            begun.notify_one();
            go_on.notified().await;
        })
    };
    let limits = ApiLimits {
        requests: 1,
        request_time: Duration::from_millis(200),
        ..ApiLimits::default()
    };
    api.router = around(limits, Router::new().route("/slow", slow), &api);
    let api = Arc::new(api);
    let first = tokio::spawn({
        let api = Arc::clone(&api);
        async move { api.get("/slow").await }
    });
    soon("the first request", begun.notified()).await;
    let second = api.get("/slow").await;
    assert_eq!(
        second.problem(),
        "503 overloaded: 1 requests are in work, which is the limit\nhint: send the request again a little later"
    );
    assert_eq!(second.header("retry-after"), "1");
    let first = soon("the end of the first request", first).await.unwrap();
    let problem = first.problem();
    assert!(
        problem.starts_with("504 timeout: the request was not answered within 200 ms\nhint: "),
        "{problem}"
    );
    go_on.notify_one();
    assert_eq!(
        api.get("/slow").await.status,
        200,
        "the place is free again"
    );
}

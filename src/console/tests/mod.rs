//! The console as a browser without scripts sees it: the whole router, a real store, an engine that is away unless a test
//! says otherwise.

mod cost;
mod definition;
mod empty;
mod frame;
mod many;
mod nasty;
mod pages;
mod service;
mod sign_in;
mod task;

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::header;

use crate::api::Peer;
use crate::api::testing::{Answer, Api, Setting, request};

const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const ORIGIN: &str = "http://127.0.0.1:6327";

/// A browser: it keeps cookies, and sends what browsers send.
struct Browser {
    api: Api,
    cookies: BTreeMap<String, String>,
    /// Where it is, if that matters.
    peer: Option<Peer>,
}

impl Browser {
    async fn new() -> Self {
        Self::with(None).await
    }

    /// A browser of a server that has a token.
    async fn with(token: Option<&'static str>) -> Self {
        let setting = Setting {
            token,
            pages: true,
            ..Setting::default()
        };
        Self {
            api: Api::with(setting).await,
            cookies: BTreeMap::new(),
            peer: None,
        }
    }

    async fn go(&mut self, path: &str) -> Answer {
        let request = request("GET", path).header(header::ACCEPT, ACCEPT);
        self.send(request, Body::empty()).await
    }

    /// A page that must be there.
    async fn page(&mut self, path: &str) -> String {
        let answer = self.go(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        check_page(&answer);
        answer.text().to_owned()
    }

    /// Fills in the form of the page at `path`, and sends it.
    async fn fill_in(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let html = self.page(path).await;
        let (_, rest) = html.split_once("name=\"formToken\" value=\"").unwrap();
        let code = rest.split('"').next().unwrap().to_owned();
        let mut all = vec![("formToken", code.as_str())];
        all.extend(fields);
        self.submit(path, Some(ORIGIN), &all).await
    }

    /// Sends a form as it is.
    async fn submit(
        &mut self,
        path: &str,
        origin: Option<&str>,
        fields: &[(&str, &str)],
    ) -> Answer {
        let mut request = request("POST", path)
            .header(header::ACCEPT, ACCEPT)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(origin) = origin {
            request = request.header(header::ORIGIN, origin);
        }
        self.send(request, Body::from(super::format::query(fields)))
            .await
    }

    async fn send(&mut self, mut request: axum::http::request::Builder, body: Body) -> Answer {
        let pairs = self.cookies.iter();
        let pairs = pairs.map(|(name, value)| format!("{name}={value}"));
        let cookies = pairs.collect::<Vec<_>>().join("; ");
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        if let Some(peer) = self.peer {
            request = request.extension(peer);
        }
        let answer = self.api.call(request.body(body).unwrap()).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(
                cookie.contains("; HttpOnly; SameSite=Strict"),
                "no script and no other site gets {cookie}"
            );
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

/// Every page that links lead to, of a server that has a service with tasks and a history, and a task of no service.
async fn every_page(browser: &mut Browser) -> Vec<String> {
    browser.api.run_hello(1).await;
    for (path, body) in [
        (
            "/v1/services",
            "serviceName: web\ntaskDefinition: hello\ndesiredCount: 2",
        ),
        (
            "/v1/task-definitions",
            "family: hello\ncontainerDefinitions: [{name: hello, image: other, memory: 64}]",
        ),
    ] {
        let answer = browser.api.post(path, "application/yaml", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    let deploy = [("definition", "hello")];
    let answer = browser.fill_in("/services/default/web/deploy", &deploy);
    assert_eq!(answer.await.status, 303);
    let mut found = vec!["/".to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        let html = browser.page(&path).await;
        for link in html.split(" href=\"").skip(1) {
            let link = link.split('"').next().unwrap_or_default();
            let link = link.replace("&#38;", "&").replace("&amp;", "&");
            let link = link.split('#').next().unwrap_or_default().to_owned();
            let is_file = ["/assets/", "/docs", "/v1/"].iter();
            let is_file = is_file.clone().any(|one| link.starts_with(one))
                || link.ends_with("/yaml")
                || link.contains("/log.txt");
            if link.starts_with('/') && !is_file && !found.contains(&link) {
                found.push(link);
            }
        }
        assert!(found.len() < 200, "there is no end: {found:?}");
    }
    for kind in [
        "/tasks",
        "/stop",
        "/task-definitions",
        "/run",
        "/diff?",
        "/cost",
        "/cost/rightsizing",
        "/events",
        "/use",
        "/revisions?",
        "/scale",
        "/delete",
        "/create-service",
    ] {
        let is_there = found.iter().any(|path| path.contains(kind));
        assert!(is_there, "no link leads to {kind}: {found:?}");
    }
    found
}

/// What is true of every page: its headers, and that nothing in it can run.
#[track_caller]
fn check_page(answer: &Answer) {
    let html = answer.text();
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("form-action 'self'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "same-origin");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(html.len() <= 200_000, "{} bytes", html.len());
    let lower = html.to_ascii_lowercase();
    for part in lower.split("<script").skip(1) {
        let (attributes, rest) = part.split_once('>').unwrap();
        assert!(attributes.contains("src=\"/assets/"), "{attributes}");
        assert!(
            rest.starts_with("</script>"),
            "a script in the page: {rest:.60}"
        );
    }
    assert!(!lower.contains("<style"), "a style in the page");
    for tag in lower.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        assert!(!tag.contains("=\"javascript:"), "<{tag}>");
        // What stands between quotes is a value.
        let tag: String = tag.split('"').step_by(2).collect();
        assert!(!tag.contains(" style="), "<{tag}>");
        let handler = tag
            .split_ascii_whitespace()
            .find(|part| part.starts_with("on") && part.contains('='));
        assert_eq!(handler, None, "<{tag}>");
    }
    let harmful = |c: &char| crate::domain::display::is_harmful(*c) && !matches!(c, '\n' | '\t');
    assert_eq!(
        html.chars().find(harmful),
        None,
        "it would mislead a reader"
    );
    assert_eq!(lower.matches("<h1").count(), 1, "one first heading");
    assert!(lower.contains("<html lang=\"en\">") && lower.contains("name=\"viewport\""));
}

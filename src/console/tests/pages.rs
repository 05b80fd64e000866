//! What the pages show, and that nothing that somebody named, wrote or logged gets out of its place on them.

use super::*;
use crate::domain::{EventKind, LastStatus, NewEvent, TimestampMs};
use crate::engine::{EngineInfo, EngineState};

/// HTML, a script, an end of an attribute, escapes of a terminal, and a mark that turns text around.
const NASTY: &str =
    "\"><script>alert(1)</script><img src=x onerror=alert(2)>'\u{1b}[2J\u{9b}6n\u{202e}";

fn event(subject: &str, message: &str) -> NewEvent {
    NewEvent {
        at: TimestampMs::from_millis(1_000),
        kind: EventKind::TaskNotice,
        cluster: Some("default".to_owned()),
        subject: subject.to_owned(),
        status: None,
        message: message.to_owned(),
    }
}

#[tokio::test]
async fn an_empty_overview_teaches() {
    let mut browser = Browser::new().await;
    let html = browser.page("/").await;
    for words in ["neargate service create", "default", "Today", "All events"] {
        assert!(html.contains(words), "no `{words}` in {html}");
    }
}

#[tokio::test]
async fn the_overview_shows_what_there_is_and_what_is_reserved_of_it() {
    let mut browser = Browser::new().await;
    let ids = browser.api.run_hello(2).await;
    browser.api.set_running(&ids[0]).await;
    browser.api.set_engine(EngineState::Ok(EngineInfo {
        kind: "sim",
        version: "1".to_owned(),
        api_version: "1.41".to_owned(),
        host: "here".to_owned(),
        boot_id: None,
        platform: "linux/amd64".to_owned(),
        runtimes: ["runc".to_owned()].into(),
        cpus: 4,
        memory_bytes: 8 << 30,
    }));
    let html = browser.page("/").await;
    assert!(
        html.contains("0 vCPU reserved, 0 vCPU used, 4 vCPU free of 4 vCPU"),
        "{html}"
    );
    assert!(html.contains("of 8.0 GiB"), "{html}");
    assert!(html.contains("class=\"free\""), "{html}");
    assert!(html.contains(&ids[1]), "an event of each task");
}

#[tokio::test]
async fn a_task_that_failed_is_shown_with_the_reason() {
    let mut browser = Browser::new().await;
    let ids = browser.api.run_hello(1).await;
    let store = browser.api.store.clone();
    let mut task = store.task(&ids[0].parse().unwrap()).await.unwrap().unwrap();
    task.last_status = LastStatus::Stopped;
    task.planned_status = crate::domain::DesiredStatus::Stopped;
    task.stop_code = Some(crate::domain::StopCode::TaskFailedToStart);
    task.stopped_reason = Some(format!("CannotPullContainerError: {NASTY}"));
    task.stopped_at = Some(crate::clock::Clock::now(&crate::clock::SystemClock));
    for container in task.containers.values_mut() {
        container.last_status = crate::domain::ContainerStatus::Stopped;
    }
    store.record_task(&task, &[], &[]).await.unwrap();
    let html = browser.page("/").await;
    assert!(
        html.contains("CannotPullContainerError: &#34;&#62;&#60;script&#62;"),
        "{html}"
    );
    assert!(html.contains("\\x1b[2J\\x9b6n\\u{202e}"), "{html}");
}

#[tokio::test]
async fn the_history_is_filtered_searched_and_read_page_by_page() {
    let mut browser = Browser::new().await;
    let store = browser.api.store.clone();
    for number in 0..250 {
        let message = if number == 7 {
            "a rare thing"
        } else {
            "something"
        };
        store
            .record_event(event(&format!("subject-{}", number % 3), message))
            .await
            .unwrap();
    }
    let html = browser.page("/events").await;
    assert_eq!(html.matches("<li data-key=\"e").count(), 100);
    let next = |html: &str| {
        let (_, rest) = html.split_once("<a rel=\"next\" href=\"")?;
        Some(rest.split('"').next()?.replace("&#38;", "&"))
    };
    let mut seen = 0;
    let mut path = Some("/events?kind=TaskNotice".to_owned());
    while let Some(current) = path {
        let html = browser.page(&current).await;
        seen += html.matches("<li data-key=\"e").count();
        path = next(&html);
    }
    assert_eq!(seen, 250, "each once");
    let html = browser.page("/events?text=RARE").await;
    assert_eq!(html.matches("<li data-key=\"e").count(), 1);
    let html = browser
        .page("/events?subject=subject-1&cluster=default")
        .await;
    assert_eq!(html.matches("<li data-key=\"e").count(), 83);
    assert!(html.contains("value=\"subject-1\""));
    for wrong in ["kind=Nothing", "before=x", "cluster=%3Cb%3E"] {
        let answer = browser.go(&format!("/events?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        check_page(&answer);
    }
}

#[tokio::test]
async fn whatever_an_event_says_and_whatever_is_searched_for_stays_text() {
    let mut browser = Browser::new().await;
    browser
        .api
        .store
        .record_event(event(NASTY, NASTY))
        .await
        .unwrap();
    for path in [
        "/".to_owned(),
        "/events".to_owned(),
        format!("/events?text={}", super::super::format::segment(NASTY)),
        format!("/events?subject={}", super::super::format::segment(NASTY)),
    ] {
        let html = browser.page(&path).await;
        assert!(
            html.contains("&#34;&#62;&#60;script&#62;alert(1)"),
            "{path}: {html}"
        );
    }
}

#[tokio::test]
async fn every_entry_of_the_navigation_is_a_page() {
    let mut browser = Browser::new().await;
    let html = browser.page("/").await;
    let (_, nav) = html.split_once("<nav aria-label=\"Pages\">").unwrap();
    let nav = nav.split("</nav>").next().unwrap();
    for link in nav.split("href=\"").skip(1) {
        let path = link.split('"').next().unwrap();
        assert_eq!(browser.go(path).await.status, 200, "{path}");
    }
}

//! Logs and the live stream of events.

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::{Api, Logs, Setting, request, soon};
use crate::api::ApiLimits;
use crate::domain::{EventKind, NewEvent, TimestampMs};

fn event(subject: &str, kind: EventKind) -> NewEvent {
    NewEvent {
        at: TimestampMs::from_millis(1_000),
        kind,
        cluster: None,
        subject: subject.to_owned(),
        status: None,
        message: "line one\nline two\rline three".to_owned(),
    }
}

/// A stream of events as its reader sees it.
struct Reader {
    body: BodyDataStream,
    text: String,
}

impl Reader {
    async fn open(api: &Api, path: &str, last_event_id: Option<u64>) -> Self {
        let mut request = request("GET", path);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = api.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    /// `id`, `event` and `data` of the next event; `None` at the end.
    async fn next(&mut self) -> Option<(u64, String, Value)> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::to_owned)
                };
                let Some(id) = field("id: ") else { continue };
                let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
                return Some((id.parse().unwrap(), field("event: ").unwrap(), data));
            }
            let chunk = soon("an event", self.body.next()).await?;
            self.text
                .push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }
}

#[tokio::test]
async fn events_come_as_they_happen_and_in_full() {
    let api = Api::new().await;
    let mut reader = Reader::open(&api, "/v1/events/stream", None).await;
    api.store
        .record_event(event("a", EventKind::Server))
        .await
        .unwrap();
    let (id, kind, data) = reader.next().await.unwrap();
    assert_eq!(
        (kind.as_str(), &data["seq"], &data["subject"]),
        ("Server", &json!(id), &json!("a"))
    );
    assert_eq!(data["message"], "line one\nline two\rline three");
    let listed = api
        .get(&format!("/v1/events?after={}", id - 1))
        .await
        .json();
    assert_eq!(listed["items"][0], data);

    api.stop.cancel();
    assert_eq!(reader.next().await, None);
    let refused = api.get("/v1/events/stream").await.problem();
    assert!(refused.starts_with("503 stopping: "), "{refused}");
}

#[tokio::test]
async fn a_filtered_stream_skips_what_does_not_fit() {
    let api = Api::new().await;
    let mut reader = Reader::open(&api, "/v1/events/stream?subject=b&kind=TaskNotice", None).await;
    for (subject, kind) in [
        ("a", EventKind::TaskNotice),
        ("b", EventKind::Server),
        ("b", EventKind::TaskNotice),
        ("a", EventKind::TaskNotice),
        ("b", EventKind::TaskNotice),
    ] {
        api.store.record_event(event(subject, kind)).await.unwrap();
    }
    let first = reader.next().await.unwrap();
    let second = reader.next().await.unwrap();
    assert_eq!((second.0 - first.0, &second.2["subject"]), (2, &json!("b")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_taken_up_again_and_again_has_no_holes_and_no_doubles() {
    const WRITERS: usize = 4;
    const EACH: usize = 300;
    let api = Api::new().await;
    let begin = *api.store.event_seq().borrow();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = api.store.clone();
            tokio::spawn(async move {
                for _ in 0..EACH {
                    store
                        .record_event(event(&writer.to_string(), EventKind::Server))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    let last = begin + (WRITERS * EACH) as u64;
    let mut seen = begin;
    // The reader loses its connection after 1, 8, 15 … events.
    let mut patience = 1;
    while seen < last {
        let mut reader = Reader::open(&api, "/v1/events/stream", Some(seen)).await;
        for _ in 0..patience {
            if seen == last {
                break;
            }
            let (id, _, _) = reader.next().await.unwrap();
            assert_eq!(id, seen + 1);
            seen = id;
        }
        patience += 7;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let mut whole = Reader::open(&api, &format!("/v1/events/stream?after={begin}"), None).await;
    for expected in begin + 1..=last {
        assert_eq!(whole.next().await.unwrap().0, expected);
    }
}

#[tokio::test]
async fn an_event_of_another_database_is_told_from_one_that_is_to_come() {
    let api = Api::new().await;
    let newest = *api.store.event_seq().borrow();
    let problem = api
        .get(&format!("/v1/events/stream?after={}", newest + 10))
        .await
        .problem();
    assert!(
        problem.starts_with(&format!(
            "400 invalid-request: there is no event {}; the newest is {newest}\nhint: ",
            newest + 10
        )),
        "{problem}"
    );
}

#[tokio::test]
async fn streams_are_counted_and_their_places_given_back() {
    let limits = ApiLimits {
        streams: 1,
        ..ApiLimits::default()
    };
    let api = Api::with(Setting {
        limits,
        ..Setting::default()
    })
    .await;
    let first = Reader::open(&api, "/v1/events/stream", None).await;
    let answer = api.get("/v1/events/stream").await;
    assert_eq!(
        answer.problem(),
        "503 too-many-streams: 1 streams are open, which is the limit\n\
         hint: end one that is no longer read, or ask again without follow"
    );
    assert!(
        api.get("/metrics")
            .await
            .text()
            .contains("neargate_http_streams_open 1\n")
    );
    drop(first);
    Reader::open(&api, "/v1/events/stream", None).await;
}

#[tokio::test]
async fn logs_come_line_by_line() {
    let api = Api::with(Setting {
        logs: Logs::Two,
        ..Setting::default()
    })
    .await;
    let id = api.run_hello(1).await.remove(0);
    let answer = api
        .get(&format!(
            "/v1/tasks/{id}/logs?container=hello&tail=10&since=10m"
        ))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/x-ndjson")
    );
    let lines: Vec<Value> = answer
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0],
        json!({"at": "1970-01-01T00:00:01.000Z", "container": "hello", "stream": "stdout", "text": "one"})
    );
    assert_eq!(
        (&lines[1]["text"], &lines[1]["bytesBase64"]),
        (&json!("\u{fffd}two"), &json!("/3R3bw=="))
    );

    let unknown = api
        .get(&format!("/v1/tasks/{id}/logs?container=web"))
        .await
        .problem();
    assert!(
        unknown.ends_with("\nhint: its containers are: hello"),
        "{unknown}"
    );
    assert!(
        api.get("/v1/tasks/ffff/logs")
            .await
            .problem()
            .starts_with("404 not-found: ")
    );
}

#[tokio::test]
async fn an_engine_that_is_away_is_said_and_its_secrets_are_not() {
    let api = Api::new().await;
    let id = api.run_hello(1).await.remove(0);
    let answer = api.get(&format!("/v1/tasks/{id}/logs")).await;
    assert_eq!(
        answer.problem(),
        "503 engine-away: the container engine cannot be reached\n\
         hint: tasks wait until it is back; GET /readyz tells its state"
    );
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!answer.text().contains("secret"));
}

#[tokio::test]
async fn a_log_that_breaks_is_cut_off_and_does_not_look_complete() {
    let api = Api::with(Setting {
        logs: Logs::Broken,
        ..Setting::default()
    })
    .await;
    let id = api.run_hello(1).await.remove(0);
    let request = request("GET", &format!("/v1/tasks/{id}/logs"))
        .body(Body::empty())
        .unwrap();
    let mut body = api.send(request).await.into_body().into_data_stream();
    assert!(body.next().await.unwrap().is_ok());
    assert!(body.next().await.unwrap().is_err());
}

#[tokio::test]
async fn a_followed_log_ends_when_the_server_stops() {
    let api = Api::with(Setting {
        logs: Logs::Endless,
        ..Setting::default()
    })
    .await;
    let id = api.run_hello(1).await.remove(0);
    api.set_running(&id).await;
    let request = request("GET", &format!("/v1/tasks/{id}/logs?follow=true"))
        .body(Body::empty())
        .unwrap();
    let mut body = api.send(request).await.into_body().into_data_stream();
    let line = soon("the first line", body.next()).await.unwrap().unwrap();
    assert!(line.starts_with(b"{") && line.ends_with(b"}\n"), "{line:?}");
    api.stop.cancel();
    assert!(soon("the end", body.next()).await.is_none());
}

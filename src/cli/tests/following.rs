//! What goes on: logs and events over connections that break.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::time::timeout;

use super::fake::{command, neargate, server, session};
use super::{Buffer, sample};
use crate::cli::console::Format;
use crate::cli::follow;
use crate::shapes::{LogLine, Problem, Task};

type Params = Query<Vec<(String, String)>>;

fn param<'a>(params: &'a Params, name: &str) -> Option<&'a str> {
    params
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

fn ndjson(lines: &[LogLine]) -> String {
    lines
        .iter()
        .map(|line| serde_json::to_string(line).unwrap() + "\n")
        .collect()
}

/// `text` in pieces of three bytes, then a broken connection or the end.
fn body(text: &str, breaks: bool) -> Response {
    let pieces: Vec<Result<Bytes, std::io::Error>> = text
        .as_bytes()
        .chunks(3)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let pieces = stream::iter(pieces);
    if !breaks {
        return Body::from_stream(pieces).into_response();
    }
    let broken = stream::once(async {
        // What was written goes out before the connection breaks.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("broken"))
    });
    Body::from_stream(pieces.chain(broken)).into_response()
}

/// Waits until `buffer` holds `text`.
async fn until(buffer: &Buffer, text: &str) {
    let seen = async {
        while !buffer.text().contains(text) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let deadline = timeout(Duration::from_secs(20), seen).await;
    assert!(deadline.is_ok(), "{text:?} is not in\n{}", buffer.text());
}

#[tokio::test]
async fn a_log_is_read_over_chunks_and_its_bytes_are_kept() {
    let mut odd = sample::line("hello", 2, "caf\u{fffd}");
    odd.bytes_base64 = Some("Y2Fm6Q==".to_owned());
    let text = ndjson(&[
        sample::line("hello", 1, "\x1b[31mred \u{65e5}\u{672c}"),
        odd,
    ]);
    let routes = Router::new()
        .route(
            "/v1/tasks/{id}",
            get(|| async { Json(sample::stopped_task()) }),
        )
        .route(
            "/v1/tasks/{id}/logs",
            get(move || async move { body(&text, false) }),
        );
    let address = server(routes).await;
    let done = neargate(address, &["logs", "0123", "-c", "hello"]).await;
    assert_eq!(done.result, Ok(0));
    // No terminal: nothing is changed.
    assert_eq!(
        done.stdout,
        b"\x1b[31mred \xe6\x97\xa5\xe6\x9c\xac\ncaf\xe9\n"
    );
    let done = neargate(address, &["logs", "0123", "--timestamps"]).await;
    assert!(
        done.stdout
            .starts_with(b"2026-01-31T08:15:03.001Z hello | "),
        "{:?}",
        done.stdout
    );
}

#[tokio::test]
async fn a_log_that_was_cut_off_is_no_whole_log() {
    let text = ndjson(&[sample::line("hello", 1, "one")]);
    let routes = Router::new()
        .route(
            "/v1/tasks/{id}",
            get(|| async { Json(sample::stopped_task()) }),
        )
        .route(
            "/v1/tasks/{id}/logs",
            get(move || async move { body(&text, true) }),
        );
    let done = neargate(server(routes).await, &["logs", "0123"]).await;
    assert_eq!(done.stdout(), "hello | one\n");
    assert_eq!(done.result.unwrap_err().code(), 1);
}

#[tokio::test]
async fn a_problem_within_a_log_is_said() {
    let problem = Problem {
        kind: "about:blank".to_owned(),
        title: "Engine".to_owned(),
        status: 500,
        detail: Some("the engine went away".to_owned()),
        ..Problem::default()
    };
    let text = serde_json::to_string(&problem).unwrap() + "\n";
    let routes = Router::new()
        .route(
            "/v1/tasks/{id}",
            get(|| async { Json(sample::stopped_task()) }),
        )
        .route(
            "/v1/tasks/{id}/logs",
            get(move || async move { body(&text, false) }),
        );
    let failure = neargate(server(routes).await, &["logs", "0123"])
        .await
        .result
        .unwrap_err();
    let text = failure.render(false);
    assert!(
        text.starts_with("error: the engine went away\nhint: "),
        "{text}"
    );
}

/// A task that is PENDING, RUNNING and STOPPED one question after another, and whose log breaks off twice.
struct Life {
    questions: AtomicU32,
    streams: AtomicU32,
}

impl Life {
    fn routes() -> Router {
        let life = Arc::new(Self {
            questions: AtomicU32::new(0),
            streams: AtomicU32::new(0),
        });
        let (asked, read) = (Arc::clone(&life), life);
        let pending = || async {
            (
                StatusCode::CREATED,
                Json(json!({ "tasks": [task("PENDING")] })),
            )
        };
        Router::new()
            .route("/v1/tasks", post(pending))
            .route("/v1/tasks/{id}", get(move || async move { asked.answer() }))
            .route(
                "/v1/tasks/{id}/logs",
                get(move |Path(_): Path<String>, params: Params| async move { read.stream(&params) }),
            )
    }

    /// The second question finds nobody; the task goes on as long as its log has not been read to the end.
    fn answer(&self) -> Response {
        match self.questions.fetch_add(1, Ordering::SeqCst) {
            0 => Json(task("PENDING")).into_response(),
            1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ if self.streams.load(Ordering::SeqCst) < 3 => Json(task("RUNNING")).into_response(),
            _ => Json(task("STOPPED")).into_response(),
        }
    }

    /// Each stream goes on from the time that was asked for, and includes the lines of that time.
    fn stream(&self, params: &Params) -> Response {
        let all = [
            ("one", 1),
            ("two", 2),
            ("three", 2),
            ("four", 2),
            ("five", 3),
        ];
        let since = param(params, "since").unwrap_or_default();
        let lines = |count: usize| {
            let lines: Vec<LogLine> = all[..count]
                .iter()
                .map(|(text, millis)| sample::line("hello", *millis, text))
                .collect();
            let lines: Vec<LogLine> = lines
                .into_iter()
                .filter(|line| line.at.as_str() >= since)
                .collect();
            ndjson(&lines)
        };
        match self.streams.fetch_add(1, Ordering::SeqCst) {
            0 => body(&lines(3), true),
            // The server is about to stop: a whole stream, though the task goes on.
            1 => body(&lines(4), false),
            _ => body(&lines(5), false),
        }
    }
}

fn task(status: &str) -> Task {
    let mut task = sample::stopped_task();
    task.containers.truncate(1);
    status.clone_into(&mut task.last_status);
    let container = &mut task.containers[0];
    status.clone_into(&mut container.last_status);
    if status != "STOPPED" {
        container.exit_code = None;
        container.finished_at = None;
        task.stop_code = None;
    }
    if status == "PENDING" {
        container.started_at = None;
        container.runtime_id = None;
    }
    task
}

#[tokio::test]
async fn run_follow_loses_no_line_doubles_none_and_exits_as_the_container_did() {
    let address = server(Life::routes()).await;
    let done = timeout(
        Duration::from_secs(20),
        neargate(address, &["run", "hello", "--follow"]),
    )
    .await
    .unwrap();
    assert_eq!(done.stdout(), "one\ntwo\nthree\nfour\nfive\n");
    assert_eq!(done.result, Ok(3));
    for said in [
        "0123456789ab  PENDING\n",
        "0123456789ab  RUNNING",
        "it is looked for again",
        "it answers again",
        "hello exited with 3",
    ] {
        assert!(
            done.stderr.contains(said),
            "{said:?} is not in\n{}",
            done.stderr
        );
    }
}

#[tokio::test]
async fn the_first_interruption_asks_to_stop_and_the_second_leaves() {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&reasons);
    let stop = post(move |Json(request): Json<serde_json::Value>| async move {
        noted.lock().unwrap().push(request);
        Json(task("RUNNING"))
    });
    let routes = Router::new()
        .route("/v1/tasks/{id}", get(|| async { Json(task("RUNNING")) }))
        .route("/v1/tasks/{id}/stop", stop)
        .route("/v1/tasks/{id}/logs", get(|| async { body("", false) }));
    let (mut session, _, stderr) = session(server(routes).await, Format::Table);
    // Ctrl-C is pressed at once, and again when it has had its effect.
    let pressed = AtomicU32::new(0);
    let interrupted = || {
        let is_first = pressed.fetch_add(1, Ordering::SeqCst) == 0;
        let reasons = Arc::clone(&reasons);
        async move {
            while !is_first && reasons.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        }
    };
    let followed = follow::tasks(&mut session, vec![task("RUNNING")], interrupted);
    let failure = timeout(Duration::from_secs(20), followed)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(failure.code(), 130);
    assert_eq!(
        *reasons.lock().unwrap(),
        [json!({ "reason": "Ctrl-C in neargate run --follow" })]
    );
    assert!(
        stderr.text().contains("press Ctrl-C again"),
        "{}",
        stderr.text()
    );
}

#[tokio::test]
async fn run_wait_says_how_it_goes_and_exits_as_the_container_did() {
    let routes = Router::new()
        .route(
            "/v1/tasks",
            post(|| async { Json(json!({ "tasks": [task("PENDING")] })) }),
        )
        .route("/v1/tasks/{id}", get(|| async { Json(task("STOPPED")) }));
    let done = neargate(server(routes).await, &["run", "hello", "--wait"]).await;
    assert_eq!((done.result.clone(), done.stdout()), (Ok(3), ""));
    assert!(
        done.stderr
            .contains("STOPPED  Essential container in task exited"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn a_task_that_is_gone_ends_the_waiting() {
    let gone = || async {
        let problem = Problem {
            status: 404,
            detail: Some("task does not exist".to_owned()),
            ..Problem::default()
        };
        (StatusCode::NOT_FOUND, Json(problem))
    };
    let routes = Router::new()
        .route(
            "/v1/tasks",
            post(|| async { Json(json!({ "tasks": [task("PENDING")] })) }),
        )
        .route("/v1/tasks/{id}", get(gone));
    let failure = neargate(server(routes).await, &["run", "hello", "--wait"])
        .await
        .result
        .unwrap_err();
    let text = failure.render(false);
    assert!(
        text.starts_with("error: task does not exist\nhint: "),
        "{text}"
    );
}

fn event(seq: u64) -> String {
    let event = json!({ "seq": seq, "at": sample::CREATED, "kind": "Server", "subject": "neargate", "message": format!("no. {seq}") });
    format!("id: {seq}\nevent: Server\ndata: {event}\n\n")
}

#[tokio::test]
async fn events_go_on_after_the_last_one_that_was_seen() {
    let connections = Arc::new(AtomicU32::new(0));
    let stream = get(move |headers: HeaderMap| async move {
        let last = headers
            .get("last-event-id")
            .map(|id| id.to_str().unwrap().to_owned());
        match (connections.fetch_add(1, Ordering::SeqCst), last.as_deref()) {
            (0, None) => body(&format!(": alive\n\n{}{}", event(7), event(8)), true),
            (1, Some("8")) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            // It gives one twice, and then stays open.
            (2, Some("8")) => {
                let text = Bytes::from(event(8) + &event(9));
                let first = stream::once(async { Ok::<_, Infallible>(text) });
                Body::from_stream(first.chain(stream::pending())).into_response()
            }
            other => panic!("{other:?}"),
        }
    });
    let address = server(Router::new().route("/v1/events/stream", stream)).await;
    let (following, stdout, stderr) = command(address, &["events", "-f", "--output", "json"]);
    let following = tokio::spawn(following);
    until(&stdout, "no. 9").await;
    following.abort();
    let seqs: Vec<u64> = stdout
        .text()
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(seqs, [7, 8, 9]);
    assert!(
        stderr.text().contains("it is looked for again"),
        "{}",
        stderr.text()
    );
    assert!(
        stderr.text().contains("it answers again"),
        "{}",
        stderr.text()
    );
}

#[tokio::test]
async fn events_say_it_when_there_was_never_a_server() {
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let failure = neargate(address, &["events", "-f"])
        .await
        .result
        .unwrap_err();
    assert!(
        failure.render(false).contains("no Neargate answers"),
        "{}",
        failure.render(false)
    );
}

#[tokio::test]
async fn a_service_whose_creation_got_no_answer_is_created_again_with_the_same_token() {
    let tokens: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&tokens);
    let create = move |params: Params| {
        let mut seen = seen.lock().unwrap();
        seen.push(param(&params, "clientToken").unwrap().to_owned());
        let answer = json!(crate::shapes::Service {
            service_name: "web".to_owned(),
            ..crate::shapes::Service::default()
        });
        // The first answer breaks off: nobody knows what has become of the call.
        let answer = body(&answer.to_string(), seen.len() == 1);
        std::future::ready((StatusCode::CREATED, answer))
    };
    let address = server(Router::new().route("/v1/services", post(create))).await;
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("web.yaml");
    std::fs::write(&file, "serviceName: web\n").unwrap();
    let done = neargate(address, &["service", "create", file.to_str().unwrap()]).await;
    assert_eq!(done.stdout(), "web\n", "{}", done.stderr);
    let tokens = tokens.lock().unwrap();
    let [first, second] = tokens.as_slice() else {
        panic!("{tokens:?}")
    };
    assert_eq!(first, second);
}

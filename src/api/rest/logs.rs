//! What a task's containers wrote, line by line.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::extract::{Check, Params, Segment};
use super::limit::stream_slot;
use super::openapi::Common;
use super::problem::ApiError;
use super::tasks::TaskText;
use crate::control::{ControlError, LogQuery, TaskLogLine};
use crate::shapes::{LogLine, Problem};

/// One JSON text per line.
const NDJSON: &str = "application/x-ndjson";
/// The most lines that go out in one piece, when so many are there at once.
const LINES_AT_ONCE: usize = 128;
/// What there is to say about lines that are missing.
const NOTE: HeaderName = HeaderName::from_static("neargate-note");

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new().routes(routes!(get_task_logs))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct GetTaskLogs {
    /// Only lines of this container.
    container: Option<String>,
    /// Go on as new lines come, until the task has ended.
    #[param(value_type = Option<bool>)]
    follow: Option<String>,
    /// Only lines from this time on: RFC 3339, or how long ago it was, such as `10m`.
    since: Option<String>,
    /// Only so many lines from the end of each container's log.
    #[param(value_type = Option<u64>, minimum = 0)]
    tail: Option<String>,
}

/// What a task's containers wrote: a stream of `LogLine`, one JSON text per line.
///
/// A stream that ends without the last chunk of HTTP's chunked encoding was cut off. Where the log of a container has been
/// removed for its age or for room, the header `neargate-note` says so.
#[utoipa::path(
    get, path = "/v1/tasks/{task}/logs", tag = "tasks",
    params(
        ("task" = String, Path, description = "Its ID, or the first digits of it."),
        GetTaskLogs,
    ),
    responses(
        (status = 200, description = "The lines, one `LogLine` after the other.", body = LogLine, content_type = "application/x-ndjson",
         headers(("neargate-note" = String, description = "What there is to say about lines that are missing."))),
        (status = 404, description = "There is no such task or container.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Several tasks begin like this.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_task_logs(
    State(rest): State<Arc<Rest>>,
    Segment(TaskText(text)): Segment<TaskText>,
    Params(params): Params<GetTaskLogs>,
) -> Result<Response, ApiError> {
    let control = &rest.state.control;
    let mut check = Check::default();
    let query = LogQuery {
        container: check.parse("container", params.container.as_deref()),
        follow: check.flag("follow", params.follow.as_deref()),
        since: check.moment("since", params.since.as_deref(), control.now()),
        tail: check.number("tail", params.tail.as_deref(), 0..=u64::MAX),
    };
    check.done()?;
    let slot = stream_slot(&rest)?;
    let id = control.find_task(&text).await?;
    let note = control.log_note(&id, &query).await?;
    let lines = control.task_logs(&id, query).await?;
    let body = Body::from_stream(pieces(lines, rest.state.stop.clone(), slot));
    let mut response = ([(header::CONTENT_TYPE, NDJSON)], body).into_response();
    if let Some(note) = note.and_then(|note| HeaderValue::try_from(note).ok()) {
        response.headers_mut().insert(NOTE, note);
    }
    Ok(response)
}

/// `lines` as they go out, until they end or the server stops. An error cuts the answer off, so that nobody
/// takes what came before for everything; its cause goes to the log.
fn pieces(
    lines: impl Stream<Item = Result<TaskLogLine, ControlError>> + Send + 'static,
    stop: CancellationToken,
    slot: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, ControlError>> + Send + 'static {
    lines
        .take_until(stop.cancelled_owned())
        .ready_chunks(LINES_AT_ONCE)
        .flat_map(move |lines| {
            // Kept for as long as the stream is.
            let _slot = &slot;
            futures_util::stream::iter(piece(lines))
        })
}

/// The lines before the first error as one piece, and the error.
fn piece(lines: Vec<Result<TaskLogLine, ControlError>>) -> Vec<Result<Bytes, ControlError>> {
    let mut text = Vec::new();
    let mut pieces = Vec::with_capacity(2);
    let mut failure = None;
    for line in lines {
        match line {
            Ok(TaskLogLine { container, line }) => {
                // A line is made of texts alone, so this cannot fail.
                let _ = serde_json::to_writer(&mut text, &LogLine::new(&container, &line));
                text.push(b'\n');
            }
            Err(error) => {
                tracing::warn!(%error, "a log could not be read to its end");
                failure = Some(error);
                break;
            }
        }
    }
    if !text.is_empty() {
        pieces.push(Ok(Bytes::from(text)));
    }
    pieces.extend(failure.map(Err));
    pieces
}

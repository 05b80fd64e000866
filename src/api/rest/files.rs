//! Files of a task's container, as a tar in either direction. Neither is bounded by the size of a body, but by the
//! disk that it goes to and by how long the other side may be silent; in memory there is a piece at a time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::extract::{Check, Params, Segment};
use super::limit::stream_slot;
use super::openapi::Common;
use super::problem::ApiError;
use super::tasks::TaskText;
use crate::control::OpenContainer;
use crate::shapes::Problem;

/// The content type of both directions.
const TAR: &str = "application/x-tar";
/// How long whoever sends a tar may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// Whose answer begins only after all of the request has come.
pub(super) const PATH: &str = "/v1/tasks/{task}/files";

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new().routes(routes!(get_files, put_files))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct FilesParams {
    /// The container; may be left out for a task that has one.
    container: Option<String>,
    /// From the container's root on.
    #[param(required = true)]
    path: Option<String>,
}

async fn open(
    rest: &Rest,
    task: &str,
    params: FilesParams,
) -> Result<(OpenContainer, String), ApiError> {
    let mut check = Check::default();
    let container = check.parse("container", params.container.as_deref());
    let path = params.path.unwrap_or_default();
    if path.is_empty() {
        check.add("path", "is missing", "say where, as path=/etc/hostname");
    }
    check.done()?;
    let control = &rest.state.control;
    let id = control.find_task(task).await?;
    Ok((control.open_container(&id, container).await?, path))
}

/// What is at a path of a container, as a tar.
///
/// A file, or a folder with all that is in it; its first name is the last one of the path. Only for tasks with `enableExecuteCommand`.
#[utoipa::path(
    get, path = "/v1/tasks/{task}/files", tag = "tasks",
    params(("task" = String, Path, description = "Its ID, or the first digits of it."), FilesParams),
    responses(
        (status = 200, description = "The tar. One that ends without the last chunk of HTTP's chunked encoding was cut off.", body = Vec<u8>, content_type = "application/x-tar"),
        (status = 404, description = "There is no such task, container or path.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The task has no `enableExecuteCommand`, or the container does not run.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_files(
    State(rest): State<Arc<Rest>>,
    Segment(TaskText(text)): Segment<TaskText>,
    Params(params): Params<FilesParams>,
) -> Result<Response, ApiError> {
    let slot = stream_slot(&rest)?;
    let (open, path) = open(&rest, &text, params).await?;
    let tar = rest.state.control.read_files(&open, &path).await?;
    let pieces = tar
        .take_until(rest.state.stop.clone().cancelled_owned())
        .map(move |piece| {
            // Kept for as long as the stream is.
            let _slot = &slot;
            piece
        });
    Ok(([(header::CONTENT_TYPE, TAR)], Body::from_stream(pieces)).into_response())
}

/// Unpacks a tar in a folder of a container.
///
/// The folder must be there. What came before an error stays. Only for tasks with `enableExecuteCommand`.
#[utoipa::path(
    put, path = "/v1/tasks/{task}/files", tag = "tasks",
    params(("task" = String, Path, description = "Its ID, or the first digits of it."), FilesParams),
    request_body(content((Vec<u8> = "application/x-tar"))),
    responses(
        (status = 204, description = "It is all there."),
        (status = 404, description = "There is no such task, container or folder.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The task has no `enableExecuteCommand`, or the container does not run.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn put_files(
    State(rest): State<Arc<Rest>>,
    Segment(TaskText(text)): Segment<TaskText>,
    Params(params): Params<FilesParams>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let _slot = stream_slot(&rest)?;
    let (open, path) = open(&rest, &text, params).await?;
    let tar = unless_silent(request.into_body().into_data_stream());
    let stop = rest.state.stop.clone();
    tokio::select! {
        written = rest.state.control.write_files(&open, &path, tar.boxed()) => written?,
        () = stop.cancelled() => return Err(ApiError::new(
            super::problem::Kind::Stopping,
            "the server is stopping; not everything was unpacked",
        )),
    }
    Ok(StatusCode::NO_CONTENT)
}

fn unless_silent(pieces: BodyDataStream) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::unfold(Some(pieces), |pieces| async {
        let mut pieces = pieces?;
        match tokio::time::timeout(SILENCE, pieces.next()).await {
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Ok(None) => None,
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    })
}

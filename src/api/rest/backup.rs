//! A backup, as a download. Making one takes as long as there is to copy, so it has no limit in time; one is made at a time.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use tokio_util::io::ReaderStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::limit::stream_slot;
use super::openapi::Common;
use super::problem::ApiError;
use crate::shapes::Problem;

/// What an SQLite database is called.
const SQLITE: &str = "application/vnd.sqlite3";
/// Bytes that are in memory at a time.
const PIECE: usize = 256 * 1_024;
/// The one route.
pub(super) const PATH: &str = "/v1/backup";

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new().routes(routes!(make_backup))
}

/// A copy of all that is recorded, of one moment.
///
/// An SQLite database, for `neargate restore`. Secrets are sealed in it, without their key; kept logs are not in it.
#[utoipa::path(
    post, path = "/v1/backup", tag = "server",
    responses(
        (status = 200, description = "The database. One that is shorter than `content-length` was cut off.", body = Vec<u8>, content_type = "application/vnd.sqlite3"),
        (status = 409, description = "Another backup is being made.", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The data folder has no room for a copy.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn make_backup(State(rest): State<Arc<Rest>>) -> Result<Response, ApiError> {
    let slot = stream_slot(&rest)?;
    let backup = rest.state.control.backup().await?;
    let headers = [
        (header::CONTENT_TYPE, SQLITE.to_owned()),
        (header::CONTENT_LENGTH, backup.bytes.to_string()),
    ];
    let pieces = ReaderStream::with_capacity(backup.file, PIECE)
        .take_until(rest.state.stop.clone().cancelled_owned())
        .map(move |piece| {
            // Kept for as long as the stream is.
            let _slot = &slot;
            piece
        });
    Ok((headers, Body::from_stream(pieces)).into_response())
}

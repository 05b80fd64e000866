//! What a task uses at this moment.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::extract::Segment;
use super::openapi::Common;
use super::problem::ApiError;
use super::tasks::TaskText;
use crate::control::Control;
use crate::shapes::{Problem, TaskStats};

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new().routes(routes!(get_task_stats))
}

/// What a task uses now.
///
/// CPU time and traffic are counted since its start: asking twice tells what was used in between. A task that does
/// not run has no figures.
#[utoipa::path(
    get, path = "/v1/tasks/{task}/stats", tag = "tasks",
    params(("task" = String, Path, description = "Its ID, or the first digits of it.")),
    responses(
        (status = 200, description = "The figures.", body = TaskStats),
        (status = 404, description = "There is no such task.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Several tasks begin like this.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_task_stats(
    State(control): State<Control>,
    Segment(TaskText(text)): Segment<TaskText>,
) -> Result<Json<TaskStats>, ApiError> {
    let id = control.find_task(&text).await?;
    let figures = control.task_figures(&id).await?;
    Ok(Json(TaskStats::from(&figures)))
}
